"""Logits equal to transformers on random small configurations, in both directions, and on a real checkpoint."""

from __future__ import annotations

import pytest
import torch

from octolab.errors import UserError
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import load_checkpoint, save_checkpoint, to_hf

transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 10000.0,
}
CASES = {
    "llama_tied": ("LlamaConfig", {"num_key_value_heads": 6, "tie_word_embeddings": True}),
    "llama_untied_gqa": ("LlamaConfig", {"num_key_value_heads": 2, "tie_word_embeddings": False}),
    "llama3_rope": ("LlamaConfig", {"num_key_value_heads": 3, "rope_parameters": LLAMA3}),
    "llama_head_dim": ("LlamaConfig", {"num_key_value_heads": 2, "head_dim": 12}),
    "qwen2": ("Qwen2Config", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", {"num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": False}),
}


def reference(case: str):
    name, extra = CASES[case]
    config = getattr(transformers, name)(**SMALL, **extra)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, which would hide a swap
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model


@pytest.mark.parametrize("case", CASES)
def test_reads_what_transformers_writes(case, tmp_path):
    theirs = reference(case)
    theirs.save_pretrained(tmp_path)
    ours = load_checkpoint(tmp_path)
    ids = torch.randint(0, 97, (3, 100))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=0)
    assert ours.config.parameters() == sum(p.numel() for p in ours.parameters())


@pytest.mark.parametrize("case", CASES)
def test_transformers_reads_what_we_write(case, tmp_path):
    config = DecoderConfig.from_hf(reference(case).config.to_dict() | {"architectures": None})
    ours = Decoder(config).reset(3)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    save_checkpoint(ours, tmp_path, bos_id=None, eos_ids=[1])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.randint(0, 97, (2, 90))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=1e-5)
    assert theirs.generation_config.eos_token_id == 1


def test_round_trip_is_exact(tmp_path):
    ours = Decoder(DecoderConfig.from_hf(reference("qwen2").config.to_dict() | {"architectures": None})).reset(1)
    save_checkpoint(ours, tmp_path)
    for (name, one), (_, two) in zip(to_hf(ours), to_hf(load_checkpoint(tmp_path)), strict=True):
        assert torch.equal(one, two), name


def test_published_checkpoint(test_data):
    folder = test_data / "tiny_ckpt" / "verl_arithmetic_llama"
    ours = load_checkpoint(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(0, 16, (4, 64))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"architectures": ["MixtralForCausalLM"]}, "MixtralForCausalLM"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
    ],
)
def test_refuses_by_name(change, named):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": 8,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "intermediate_size": 8,
    }
    with pytest.raises(UserError, match=named):
        DecoderConfig.from_hf(config | change)


def test_torn_weights(tmp_path):
    save_checkpoint(Decoder(DecoderConfig.from_hf(reference("llama_tied").config.to_dict())).reset(0), tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="torn"):
        load_checkpoint(tmp_path)
