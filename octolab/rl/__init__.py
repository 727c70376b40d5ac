"""GRPO from verifiable rewards: advantage, loss, response-length schedule, trainer."""
