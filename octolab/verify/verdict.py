"""The record of one graded answer, and the reward that it earns.

A verdict is one of six words, because "wrong" alone hides what a training log must show: how often nothing was
boxed, how often the box held something unreadable, how often the grader ran out of time. Five of the six pay
0 or 1; only `error`, where the fault is not the model's, cannot be scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

VERDICTS = ("correct", "wrong", "no_answer", "unparsed", "timeout", "error")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of comparing one completion with its gold answer.

    verdict: `correct`; `wrong` (read, and different); `no_answer` (nothing to read); `unparsed` (the gold is a
        number and the answer is not one number); `timeout` (the deadline or the memory limit was exceeded);
        `error` (empty gold, a worker that died twice, or a user's grader that failed).
    span: the answer text that was read, or None.
    gold_type: `integer`, `decimal`, `fraction`, `text` or `empty`.
    method: how the answer was found and compared, for example `box/exact`; the message for an `error`.
    ms: wall-clock milliseconds spent on this answer.
    score: the number given by a user's own grader; None where the verdict alone decides the reward.
    correct: True for the verdict `correct`; follows from `verdict`.
    """

    verdict: str
    span: str | None = None
    gold_type: str = ""
    method: str = ""
    ms: float = 0.0
    score: float | None = None
    correct: bool = field(init=False)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"unknown verdict {self.verdict!r}; the verdicts are {', '.join(VERDICTS)}")
        object.__setattr__(self, "correct", self.verdict == "correct")


def reward(verdict: Verdict) -> float:
    """The reward of an answer: 1 for `correct`, 0 for the rest, NaN for `error` only.

    Exceeding the deadline pays 0 like a wrong answer, since otherwise a policy would learn to hang the grader.
    NaN means unscorable: the sample is left out of its group's statistics and gets advantage 0 (rule E4).
    A user's grader that returned a number is taken at its word (`score`).
    """
    if verdict.verdict == "error":
        return math.nan
    if verdict.score is not None:
        return verdict.score
    return 1.0 if verdict.correct else 0.0
