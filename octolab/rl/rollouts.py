"""One scored completion, and how a rollout batch is chosen and written down.

Which prompts a step takes is a function of (seed, step): every epoch visits each prompt once, in an order of
its own, so a resumed run neither repeats nor skips one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from octolab.engine.base import Completion
from octolab.tasks.problems import Problem
from octolab.tokens.permutation import key_of, permute
from octolab.verify import Verdict


@dataclass(frozen=True)
class Rollout:
    """A completion with its prompt, verdict and reward; `group` is the prompt's place in the step."""

    problem: Problem
    group: int
    prompt_ids: tuple[int, ...]
    completion: Completion
    text: str
    verdict: Verdict
    reward: float
    advantage: float

    def record(self, step: int) -> dict[str, Any]:
        """What rollouts.jsonl.zst keeps: enough to replay the trainer without the engine."""
        done = self.completion
        return {
            "step": step,
            "problem_id": self.problem.id,
            "group": self.group,
            "sample": done.sample,
            "question": self.problem.question,
            "gold": self.problem.answer,
            "text": self.text,
            "verdict": self.verdict.verdict,
            "span": self.verdict.span,
            "reward": self.reward,
            "advantage": self.advantage,
            "finish": done.finish,
            "prompt_ids": list(self.prompt_ids),
            "ids": done.ids,
            "logprobs": done.logprobs,
        }


def prompts_of_step(count: int, prompts_per_step: int, step: int, seed: int) -> list[int]:
    """Indices of the problems of rollout step `step` (0-based) among `count`."""
    position = np.arange(step * prompts_per_step, (step + 1) * prompts_per_step)
    epoch = position // count
    chosen = np.empty_like(position)
    for one in np.unique(epoch):
        here = epoch == one
        chosen[here] = permute(position[here] % count, count, key_of("prompts", seed, int(one)))
    return chosen.tolist()
