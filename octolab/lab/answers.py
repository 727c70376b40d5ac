r"""Answers of the small world, from the bare box to the long chain of thought.

In goes a story and a random stream, out comes the text after `Answer:`. Every kind ends in the right answer inside
`\boxed{}`; only the text before it differs. Numbers stand apart (`3 + 4 = 7`), so that a tokenizer which splits
digits sees each equation in the same few tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from octolab.lab.arithmetic import Move, Story

_SLIP = 0.4  # chance that a long answer slips on an equation before it gets it right
_SLIPS = (-2, -1, 1, 2)  # those that keep every number at zero or more


def boxed(story: Story) -> str:
    r"""The answer as `\boxed{9}`."""
    return f"\\boxed{{{story.answer}}}"


def direct(story: Story, rng: random.Random) -> str:
    """The bare answer."""
    return boxed(story)


def short(story: Story, rng: random.Random) -> str:
    """One equation per move: the winning path and nothing else."""
    steps = [f"{_equation(before, move, after)}." for before, move, after in story.equations()]
    return " ".join([*steps, f"So {boxed(story)}"])


def long(story: Story, rng: random.Random) -> str:
    """Each equation is tried and checked backwards; where the check fails the writer goes back and tries again."""
    told: list[str] = []
    for before, move, after in story.equations():
        if rng.random() < _SLIP:
            wrong = after + rng.choice([slip for slip in _SLIPS if min(before, after) + slip >= 0])
            told += [f"Try {_equation(before, move, wrong)}.", _check(before, move, wrong), "Wrong. Go back."]
        told += [f"Try {_equation(before, move, after)}.", _check(before, move, after), "Good."]
    return " ".join([*told, f"So {boxed(story)}"])


ANSWERS: dict[str, Callable[[Story, random.Random], str]] = {"direct": direct, "short": short, "long": long}


def _equation(before: int, move: Move, after: int) -> str:
    if move.sign == "*":
        return f"{before} + {before} = {after}"
    return f"{before} {move.sign} {move.number} = {after}"


def _check(before: int, move: Move, after: int) -> str:
    """The move undone from the value claimed; it meets the value before only if the claim is right."""
    if move.sign == "*":
        back = f"{after} - {before} = {after - before}"
        found = after - before
    elif move.sign == "+":
        found = after - move.number
        back = f"{after} - {move.number} = {found}"
    else:
        found = after + move.number
        back = f"{after} + {move.number} = {found}"
    verdict = f"yes {before}" if found == before else f"not {before}"
    return f"Check {back}, {verdict}."
