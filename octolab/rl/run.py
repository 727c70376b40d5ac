"""A whole RL stage: from a checkpoint and problems to a better checkpoint, killed and resumed at will.

Rollouts and metrics are logged before the save that relies on them, and cut back to it on resume, so a killed run
goes on to the same bits and its logs have every step once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from octolab.midtrain.checkpoint import latest, load_training, save_training
from octolab.recipe.stages import RLStage
from octolab.rl.trainer import RLTrainer
from octolab.store.logs import JsonLines, ZstdJsonLines, read_log
from octolab.store.stage import StageIO
from octolab.tasks.problems import Problem
from octolab.tasks.templates import Template
from octolab.verify import Verifier


def train_rl(
    stage: RLStage,
    parent: Path,
    problems: Sequence[Problem],
    template: Template,
    seed: int,
    io: StageIO,
) -> dict[str, Any]:
    """Run a stage to its last rollout step, from its newest save if it has one.

    Args:
        stage: settings.
        parent: checkpoint folder to start from.
        problems: prompts with verifiable answers.
        template: how a question becomes a prompt.
        seed: seed of prompts, sampling and mini-batches.
        io: the stage's folder, progress and log.

    Returns:
        The stage's summary.

    Raises:
        UserError: prompts, tokenizer and model do not fit, or training diverged.
    """
    with Verifier(workers=stage.verifier_workers, seconds=stage.verifier_seconds, grader=stage.reward) as verifier:
        trainer = RLTrainer(stage, parent, problems, template, seed, verifier, io)
        io.log(describe(stage, len(problems)))
        saved = latest(io.out)
        state: dict[str, Any] = {"step": 0, "offsets": {"metrics.jsonl": 0, "rollouts.jsonl.zst": 0}}
        if saved:
            state = load_training(saved, trainer.model, trainer.optimizer)
            trainer.updates, trainer.guard.skipped = state["updates"], state["skipped"]
            io.log(f"going on from rollout step {state['step']}")
        metrics_log = JsonLines(io.out / "metrics.jsonl", state["offsets"]["metrics.jsonl"])
        rollout_log = ZstdJsonLines(io.out / "rollouts.jsonl.zst", state["offsets"]["rollouts.jsonl.zst"])
        last_save = time.monotonic()
        for step in range(state["step"], stage.steps):
            metrics, rollouts = trainer.step(step)
            rollout_log.append(rollout.record(step + 1) for rollout in rollouts)
            metrics_log.append([metrics])
            io.progress(
                step + 1, stage.steps, f"accuracy {metrics['accuracy']:.1%}  length {metrics['length/all']:.0f}"
            )
            if step + 1 == stage.steps or time.monotonic() - last_save > stage.checkpoint_seconds:
                offsets = {"metrics.jsonl": metrics_log.offset(), "rollouts.jsonl.zst": rollout_log.offset()}
                counters = {"updates": trainer.updates, "skipped": trainer.guard.skipped, "offsets": offsets}
                save_training(io.out, step + 1, trainer.model, trainer.tokenizer, trainer.optimizer, counters)
                last_save = time.monotonic()
        metrics_log.close()
        rollout_log.close()
    return summary(stage, io.out)


def describe(stage: RLStage, problems: int) -> str:
    """The derived numbers, said once at the start."""
    samples = stage.prompts_per_step * stage.samples_per_prompt
    return (
        f"{problems} problems; {samples} completions a rollout step ({stage.prompts_per_step} prompts x "
        f"{stage.samples_per_prompt}); {stage.updates_per_step} update(s) of {samples // stage.updates_per_step} "
        f"completions; {stage.steps} rollout steps are {stage.steps * stage.updates_per_step} updates and "
        f"{stage.steps * stage.prompts_per_step / problems:.2f} epochs. The loss is near 0 for centred advantages: "
        "watch reward, entropy and lengths."
    )


def summary(stage: RLStage, out: Path) -> dict[str, Any]:
    """Numbers of a finished stage from its own log."""
    metrics = list(read_log(out / "metrics.jsonl"))
    first, last = metrics[:5], metrics[-5:]

    def average(entries: list[dict[str, Any]], name: str) -> float | None:
        known = [entry[name] for entry in entries if entry[name] is not None]
        return float(np.mean(known)) if known else None

    names = {"accuracy": "accuracy", "length": "length/all", "truncated": "truncated", "entropy": "entropy"}
    ends = {
        f"{short}_{when}": average(entries, name)
        for short, name in names.items()
        for when, entries in (("first", first), ("last", last))
    }
    chosen = ("setting", "advantage", "aggregation", "clip_low", "clip_high", "updates_per_step", "learning_rate")
    settings = {name: getattr(stage, name) for name in chosen}
    return {"steps": len(metrics), "skipped_updates": metrics[-1]["skipped_updates"], **ends, "settings": settings}
