"""Training throughput beside transformers' Trainer: tiny Llamas, 16 x 256 tokens a step, fp32.

`make peers && .venv/bin/python perf/train.py`
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import best_rate, main

VOCABULARY, ROWS, LENGTH, WARM, STEPS = 1024, 16, 256, 4, 20
CASES = [
    {"name": "0.9M", "width": 128, "layers": 4, "heads": 4, "ffn": 384, "target": 1.3},
    {"name": "2.9M", "width": 192, "layers": 6, "heads": 6, "ffn": 512, "target": 1.2},
    {"name": "6.3M", "width": 256, "layers": 8, "heads": 8, "ffn": 688, "target": 1.1},
]


def ours(case: Mapping[str, Any], compiled: bool = False) -> dict[str, float]:
    """Our trainer's whole step: rows from shards, forward, backward, clip, AdamW, per-source loss."""
    import numpy as np

    from octolab.midtrain.trainer import Trainer
    from octolab.model.config import DecoderConfig
    from octolab.model.decoder import Decoder
    from octolab.model.hf import save_checkpoint
    from octolab.recipe.stages import TrainStage
    from octolab.store.stage import StageIO
    from octolab.tokens.shards import Shards, write_shards
    from octolab.tokens.tokenizer import train_bpe

    with tempfile.TemporaryDirectory() as folder:
        words = np.random.default_rng(0).integers(0, 3000, 400_000)
        texts = [" ".join(f"w{w}" for w in words[start : start + 50]) for start in range(0, len(words), 50)]
        tokenizer = train_bpe(texts[:2000], VOCABULARY)
        write_shards(Path(folder) / "shards", ((str(i), t) for i, t in enumerate(texts)), tokenizer, LENGTH, source="a")
        config = DecoderConfig.of_family(
            "llama", vocab_size=VOCABULARY, width=case["width"], layers=case["layers"], heads=case["heads"],
            kv_heads=case["heads"], ffn=case["ffn"], positions=LENGTH, tied=True, rope_theta=10000.0,
        )  # fmt: skip
        save_checkpoint(Decoder(config).reset(0), Path(folder) / "model", eos_ids=tokenizer.eos_ids)
        tokenizer.save(Path(folder) / "model")
        stage = TrainStage.model_validate({
            "from": "m", "steps": 1000, "sequences_per_step": ROWS, "sequence_length": LENGTH, "compile": compiled,
            "schedule": {"constant": 1e-3}, "mixture": {"a": 1.0}, "max_epochs": 1000.0,
        })  # fmt: skip
        shards = {"a": Shards(Path(folder) / "shards")}
        trainer = Trainer(stage, Path(folder) / "model", shards, 0, StageIO(Path(folder)))
        for step in range(WARM):
            trainer.step(step)
        steps = iter(range(WARM, 1000))
        return {"rate": best_rate(lambda: ROWS * LENGTH if trainer.step(next(steps)) else 0, STEPS)}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    """transformers' Trainer on LlamaForCausalLM: tokens a second over its own loop, after warm-up."""
    import time

    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=case["width"], intermediate_size=case["ffn"], tie_word_embeddings=True,
        num_hidden_layers=case["layers"], num_attention_heads=case["heads"], max_position_embeddings=LENGTH,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    rows = torch.randint(0, VOCABULARY, (ROWS * (WARM + STEPS), LENGTH))
    data = [{"input_ids": row, "labels": row} for row in rows]
    times: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, per_device_train_batch_size=ROWS, max_steps=WARM + STEPS, learning_rate=1e-3, report_to=[],
            logging_strategy="no", save_strategy="no", use_cpu=True, max_grad_norm=1.0, disable_tqdm=True,
        )  # fmt: skip
        transformers.Trainer(model, arguments, train_dataset=data, callbacks=[Clock()]).train()
    gaps = [after - before for before, after in zip(times[WARM:], times[WARM + 1 :], strict=False)]
    return {"rate": ROWS * LENGTH / min(gaps)}


def flops(case: Mapping[str, Any]) -> float:
    """FLOPs of one trained token: forward, and twice that backward."""
    from octolab.model.config import DecoderConfig

    config = DecoderConfig.of_family(
        "llama", vocab_size=VOCABULARY, width=case["width"], layers=case["layers"], heads=case["heads"],
        kv_heads=case["heads"], ffn=case["ffn"], positions=LENGTH, tied=True, rope_theta=10000.0,
    )  # fmt: skip
    return 3 * config.flops_per_token(LENGTH)


if __name__ == "__main__":
    jobs = {"ours": ours, "ours compiled": lambda case: ours(case, compiled=True), "peer": peer}
    main(__file__, "Training, 16 x 256 tokens a step, best step", "tok/s", CASES, jobs, flops)
