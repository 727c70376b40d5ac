"""Our verdicts as reward functions in the signatures that TRL and verl call.

In go completions and golds as the trainer passes them, out come rewards. Grading runs in a pool of this process's
own, started at the first call, so that a hostile completion can neither stop nor crash the trainer.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from octolab.verify.grade import Item
from octolab.verify.pool import Verifier
from octolab.verify.verdict import reward

_lock = threading.Lock()
_pools: dict[int, Verifier] = {}


def _pool() -> Verifier:
    """This process's pool; a forked process makes its own."""
    with _lock:
        process = os.getpid()
        if process not in _pools:
            _pools.clear()
            _pools[process] = Verifier(workers=max(1, (os.cpu_count() or 2) // 2))
        return _pools[process]


def trl_reward(
    completions: Sequence[str | Sequence[Mapping[str, Any]]],
    answer: Sequence[str] | None = None,
    ground_truth: Sequence[str] | None = None,
    solution: Sequence[str] | None = None,
    **other: Any,
) -> list[float | None]:
    r"""A reward function for TRL: `GRPOTrainer(reward_funcs=trl_reward, ...)`.

    completions: texts, or messages of which the last one's content counts. The golds are the dataset's column
    `answer`, `ground_truth` or `solution` (the answer alone). Returns 1.0 for a correct last `\boxed{}`, 0.0 for the
    rest, and None, which TRL leaves out of the mean, where the fault is not the model's. Raises ValueError if the
    dataset has none of the columns.
    """
    golds = next((column for column in (answer, ground_truth, solution) if column is not None), None)
    if golds is None:
        raise ValueError("trl_reward needs a dataset column named answer, ground_truth or solution")
    texts = [text if isinstance(text, str) else str(text[-1]["content"]) for text in completions]
    items = [Item(str(gold), text) for gold, text in zip(golds, texts, strict=True)]
    rewards = [reward(verdict) for verdict in _pool().grade(items)]
    return [None if math.isnan(value) else value for value in rewards]


def verl_reward(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None, **other: Any
) -> dict[str, Any]:
    r"""A reward function for verl: `custom_reward_function.path=octolab/verify/rewards.py`, name `verl_reward`.

    Returns `score` (1.0 for a correct last `\boxed{}`, else 0.0; 0.0 also for `error`, since verl has no way to leave
    a sample out), `acc`, `pred` (what was read) and `verdict`, which verl logs.
    """
    verdict = _pool().grade([Item(str(ground_truth), solution_str)])[0]
    value = reward(verdict)
    return {
        "score": 0.0 if math.isnan(value) else value,
        "acc": verdict.correct,
        "pred": verdict.span or "",
        "verdict": verdict.verdict,
    }
