"""The decoder of the Llama and Qwen families, its Hugging Face checkpoints and its losses."""
