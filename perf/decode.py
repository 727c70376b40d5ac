"""Rollout throughput beside transformers' generate: sampling at temperature 1, fp32.

`make peers && .venv/bin/python perf/decode.py`

`fixed`: every completion runs to the cap. `ragged`: completions end at random (about 1 token in 40 is a stop token),
as in real rollouts: a static batch then waits for its longest row. Both count the tokens that are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import best_rate, main

VOCABULARY, PROMPT = 1024, 32
SHAPE = {"width": 128, "layers": 4, "heads": 4, "ffn": 384}
CASES = [
    {"name": "ragged 16 x 16, 128 new", "prompts": 16, "samples": 16, "new": 128, "stops": 26, "target": 3.0, **SHAPE},
    {"name": "fixed 16 x 16, 128 new", "prompts": 16, "samples": 16, "new": 128, "stops": 0, "target": 1.7, **SHAPE},
    {"name": "fixed 4 x 8, 64 new", "prompts": 4, "samples": 8, "new": 64, "stops": 0, "target": 1.7, **SHAPE},
]


def prompts_of(case: Mapping[str, Any]) -> Any:
    import torch

    return torch.randint(100, VOCABULARY, (case["prompts"], PROMPT), generator=torch.Generator().manual_seed(0))


def ours(case: Mapping[str, Any]) -> dict[str, float]:
    """The local engine."""
    from octolab.engine.base import Request, Sampling
    from octolab.engine.local import LocalEngine
    from octolab.model.config import DecoderConfig
    from octolab.model.decoder import Decoder
    from octolab.model.hf import to_hf
    from octolab.tokens.tokenizer import train_bpe

    config = DecoderConfig.of_family(
        "llama", vocab_size=VOCABULARY, width=case["width"], layers=case["layers"], heads=case["heads"],
        kv_heads=case["heads"], ffn=case["ffn"], positions=512, tied=True, rope_theta=10000.0,
    )  # fmt: skip
    engine = LocalEngine(config, train_bpe(["a b"], 260), rows=256)
    engine.load_weights(to_hf(Decoder(config).reset(0)), 0)
    requests = [Request(i, tuple(ids), case["samples"]) for i, ids in enumerate(prompts_of(case).tolist())]
    sampling = Sampling(max_tokens=case["new"], stop_ids=tuple(range(case["stops"])))

    def work() -> float:
        return sum(len(done.ids) for done in engine.generate(requests, sampling))

    work()
    return {"rate": best_rate(work, 4)}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    """LlamaForCausalLM.generate on the same prompts, each repeated for its samples."""
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=case["width"], intermediate_size=case["ffn"], tie_word_embeddings=True,
        num_hidden_layers=case["layers"], num_attention_heads=case["heads"], max_position_embeddings=512,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    ids = prompts_of(case).repeat_interleave(case["samples"], 0)
    stops = list(range(case["stops"])) or None
    options = {"max_new_tokens": case["new"], "do_sample": True, "top_k": 0, "pad_token_id": VOCABULARY - 1}
    options |= {"eos_token_id": stops, "attention_mask": torch.ones_like(ids)}

    def work() -> float:
        with torch.inference_mode():
            new = model.generate(ids, **options)[:, PROMPT:]
        if not stops:
            return float(new.numel())
        stopped = torch.isin(new, torch.tensor(stops))
        after = stopped.cumsum(1) - stopped.long() > 0
        return float((~after).sum())

    work()
    return {"rate": best_rate(work, 4)}


if __name__ == "__main__":
    main(__file__, "Rollouts, 0.8M Llama, prompts of 32 tokens", "tok/s", CASES, {"ours": ours, "peer": peer})
