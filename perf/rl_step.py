"""A whole GRPO step beside TRL's GRPOTrainer: rollouts, rewards, one update; samples a second when warm.

`make peers && .venv/bin/python perf/rl_step.py`

Same model, prompts, group size, cap and loss (token aggregation, no KL) on both sides; the reward is a cheap function
of the text, so that generation and training are what is measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import best_rate, main

WARM, STEPS = 2, 6
CASES = [
    {"name": "16 x 16, 128 new", "prompts": 16, "samples": 16, "new": 128, "target": 3.0},
    {"name": "4 x 8, 64 new", "prompts": 4, "samples": 8, "new": 64, "target": 3.0},
]
QUESTIONS = [f"Tom has {i} apples and buys {i * 3 % 11} more. How many has he now?" for i in range(64)]


def _checkpoint(folder: Path) -> None:
    """One tiny Llama with a tokenizer, for both sides."""
    from octolab.model.config import DecoderConfig
    from octolab.model.decoder import Decoder
    from octolab.model.hf import save_checkpoint
    from octolab.tokens.tokenizer import train_bpe

    tokenizer = train_bpe(QUESTIONS * 20, 512)
    config = DecoderConfig.of_family(
        "llama", vocab_size=tokenizer.vocab_size, width=128, layers=4, heads=4, kv_heads=4, ffn=384, positions=512,
        tied=True, rope_theta=10000.0,
    )  # fmt: skip
    save_checkpoint(Decoder(config).reset(0), folder, eos_ids=tokenizer.eos_ids)
    tokenizer.save(folder)


def ours(case: Mapping[str, Any]) -> dict[str, float]:
    """Our trainer's whole step, verifier processes included."""
    from octolab.recipe.stages import RLStage
    from octolab.rl.trainer import RLTrainer
    from octolab.store.stage import StageIO
    from octolab.tasks.problems import Problem
    from octolab.tasks.templates import template
    from octolab.verify import Verifier

    stage = RLStage.model_validate({
        "from": "m", "prompts": "p", "steps": 100, "prompts_per_step": case["prompts"], "learning_rate": 1e-5,
        "samples_per_prompt": case["samples"], "max_tokens": case["new"],
    })  # fmt: skip
    problems = [Problem(str(i), question, str(i)) for i, question in enumerate(QUESTIONS)]
    with tempfile.TemporaryDirectory() as folder, Verifier() as verifier:
        _checkpoint(Path(folder))
        trainer = RLTrainer(stage, Path(folder), problems, template("simple"), 0, verifier, StageIO(Path(folder)))
        steps = iter(range(100))
        for _ in range(WARM):
            trainer.step(next(steps))
        return {"rate": best_rate(lambda: len(trainer.step(next(steps))[1]), STEPS)}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    """TRL's GRPOTrainer with the same numbers."""
    import time

    import datasets
    import transformers
    import trl

    times: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            times.append(time.perf_counter())

    def reward(completions: list[str], **_: Any) -> list[float]:
        return [float(len(text) % 2) for text in completions]

    with tempfile.TemporaryDirectory() as folder:
        _checkpoint(Path(folder))
        arguments = trl.GRPOConfig(
            folder + "/out", per_device_train_batch_size=case["prompts"] * case["samples"], report_to=[],
            num_generations=case["samples"], max_completion_length=case["new"], max_steps=WARM + STEPS, beta=0.0,
            loss_type="dapo", epsilon_high=0.28, scale_rewards=False, learning_rate=1e-5, use_cpu=True, bf16=False,
            save_strategy="no", logging_strategy="no", disable_tqdm=True, temperature=1.0,
        )  # fmt: skip
        trl.GRPOTrainer(
            model=transformers.AutoModelForCausalLM.from_pretrained(folder),
            processing_class=transformers.AutoTokenizer.from_pretrained(folder),
            reward_funcs=reward,
            args=arguments,
            train_dataset=datasets.Dataset.from_list([{"prompt": f"Question:{q}\nAnswer:"} for q in QUESTIONS]),
            callbacks=[Clock()],
        ).train()
    gaps = [after - before for before, after in zip(times[WARM - 1 :], times[WARM:], strict=False)]
    return {"rate": case["prompts"] * case["samples"] / min(gaps)}


if __name__ == "__main__":
    main(__file__, "One GRPO step, 0.9M Llama", "samples/s", CASES, {"ours": ours, "peer": peer})
