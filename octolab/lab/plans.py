"""Search problems of the small world: which of several plans reaches the target?

Somebody has `start` things and wants `target`; each plan is two moves, one plan gets there, and the others miss by a
little. The question asks for the value midway on the right plan. Nothing about a plan tells from afar that it is
the right one: whoever writes the winning path at once has to guess it, and is right once in as many times as there
are plans; whoever works out one plan after another and goes back from a miss needs no guess. The level is the number
of plans.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from octolab.lab.stories import HELD, NAMES, THINGS

PLAN_LEVELS = range(2, 9)
LETTERS = "ABCDEFGH"
_START = range(10, 50)
_CHANGE = [sign * size for size in range(2, 10) for sign in (1, -1)]
_MISS = range(1, 7)
"""By how much a wrong plan misses the target: too little to see from the size of its moves."""

Plan = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plans:
    """`plans` are two signed changes each; `winner` is the one that leads from `start` to `target`."""

    name: str
    thing: str
    start: int
    target: int
    plans: tuple[Plan, ...]
    winner: int
    family = "search"

    @property
    def level(self) -> int:
        """Number of plans."""
        return len(self.plans)

    @property
    def canonical(self) -> str:
        """Numbers and structure without name and thing: `17>31:+5+9,-3+12`."""
        return f"{self.start}>{self.target}:{','.join(f'{a:+}{b:+}' for a, b in self.plans)}"

    @property
    def question(self) -> str:
        """The question as it is asked."""
        told = ", ".join(f"{letter} {a:+} {b:+}" for letter, (a, b) in zip(LETTERS, self.plans, strict=False))
        return f"{self.name} has {self.start} {self.thing}, wants {self.target}: {told}. How many midway?"

    def midway(self, plan: int) -> int:
        """What is held after the first move of a plan."""
        return self.start + self.plans[plan][0]

    def end(self, plan: int) -> int:
        """What is held after both moves of a plan."""
        return self.midway(plan) + self.plans[plan][1]

    @property
    def answer(self) -> str:
        """What is held midway on the right plan."""
        return str(self.midway(self.winner))


def draw_plans(rng: random.Random, level: int) -> Plans:
    """A problem of `level` plans, with the winner anywhere among them and every value midway another one."""
    while True:
        start = rng.choice(_START)
        right = rng.choice(_CHANGE), rng.choice(_CHANGE)
        wrong = _near_misses(start, right)
        if sum(right) and _fits(start, right) and len(wrong) >= level - 1:
            break
    firsts = rng.sample(sorted(wrong), level - 1)
    plans = [right, *((first, rng.choice(wrong[first])) for first in firsts)]
    rng.shuffle(plans)
    return Plans(rng.choice(NAMES), rng.choice(THINGS), start, start + sum(right), tuple(plans), plans.index(right))


def _near_misses(start: int, right: Plan) -> dict[int, list[int]]:
    """First move -> second moves of all wrong plans that end near the target of the right one."""
    found: dict[int, list[int]] = {}
    for first in _CHANGE:
        for miss in _MISS:
            for second in (sum(right) + miss - first, sum(right) - miss - first):
                if first != right[0] and second in _CHANGE and _fits(start, (first, second)):
                    found.setdefault(first, []).append(second)
    return found


def _fits(start: int, plan: Plan) -> bool:
    return start + plan[0] in HELD and start + sum(plan) in HELD
