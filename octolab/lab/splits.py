"""Which problems there are and which split owns them.

A keyed hash of a problem's canonical form assigns it to one split, so training, RL and evaluation share no problem
even when the names differ. A stream of problems is a pure function of its arguments.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from octolab.errors import UserError, hint
from octolab.lab.plans import PLAN_LEVELS, Plans, draw_plans
from octolab.lab.stories import STORY_LEVELS, Story, draw_story

SPLITS = ("train", "rl", "eval")
Problem = Story | Plans
Levels = Mapping[str, Sequence[int]]
"""Family -> levels. Every (family, level) pair is drawn equally often."""

FAMILIES: dict[str, tuple[range, Callable[[random.Random, int], Problem]]] = {
    "story": (STORY_LEVELS, draw_story),
    "search": (PLAN_LEVELS, draw_plans),
}
_SHARES = (80, 10, 10)  # percent of canonical forms in train, rl, eval
_PATIENCE = 2000  # draws in a row without a new question before the world counts as used up


def split_of(canonical: str) -> str:
    """The one split that owns a canonical form: 80 / 10 / 10 percent by keyed hash."""
    digest = hashlib.blake2b(canonical.encode(), digest_size=8, key=b"octolab.lab.split").digest()
    place = int.from_bytes(digest, "big") % sum(_SHARES)
    for split, share in zip(SPLITS, _SHARES, strict=True):
        if place < share:
            return split
        place -= share
    raise AssertionError("shares do not cover the range")


def drawn(key: str, split: str, levels: Levels) -> Iterator[Problem]:
    """Endless problems of one split; no question is asked twice.

    The order is a pure function of the arguments, so the first k of a long draw are the k of a short one.

    Raises:
        UserError: unknown split, family or level, or every question of the world has been asked.
    """
    if split not in SPLITS:
        raise UserError(f"lab: unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    pairs = _pairs(levels)
    rng = random.Random(f"octolab.lab/{split}/{pairs}/{key}")
    asked: set[str] = set()
    misses = 0
    while misses < _PATIENCE:
        family, level = rng.choice(pairs)
        problem = FAMILIES[family][1](rng, level)
        if split_of(problem.canonical) != split or problem.question in asked:
            misses += 1
            continue
        misses = 0
        asked.add(problem.question)
        yield problem
    raise UserError(
        f"lab: split {split!r} with levels {dict(levels)} has no more than {len(asked)} questions; ask for fewer"
    )


def _pairs(levels: Levels) -> list[tuple[str, int]]:
    for family, wanted in levels.items():
        if family not in FAMILIES:
            raise UserError(f"lab: unknown family {family!r} in levels{hint(family, list(FAMILIES))}")
        known = FAMILIES[family][0]
        if not wanted or any(level not in known for level in wanted):
            raise UserError(f"lab: levels.{family}={list(wanted)} must be numbers from {known[0]} to {known[-1]}")
    if not levels:
        raise UserError("lab: levels names no family; write for example levels: {story: [2, 3]}")
    return [(family, level) for family, wanted in levels.items() for level in wanted]
