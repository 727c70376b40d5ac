"""Search problems of the small world: which of several plans ends on a full ten?

Somebody has `start` things and wants a multiple of ten; each plan is two gains, and one plan alone gets there. The
question asks for the value midway on that plan. Nothing about a plan tells from afar that it is the right one: whoever
writes the winning path at once has to guess it, and is right once in as many times as there are plans; whoever works
out one plan after another and goes back from a miss needs no guess. The level is the number of plans.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from octolab.lab.stories import NAMES, THINGS

PLAN_LEVELS = range(2, 9)
LETTERS = "ABCDEFGH"
TEN = 10
_START = range(11, 50)
_CHANGE = range(1, 10)

Plan = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plans:
    """`plans` are two gains each; `winner` is the one that leads from `start` to a multiple of ten."""

    name: str
    thing: str
    start: int
    plans: tuple[Plan, ...]
    winner: int
    family = "search"
    unit = "plans"

    @property
    def level(self) -> int:
        """Number of plans."""
        return len(self.plans)

    @property
    def canonical(self) -> str:
        """Numbers and structure without name and thing: `17:5+9,3+6`."""
        return f"{self.start}:{','.join(f'{a}+{b}' for a, b in self.plans)}"

    @property
    def question(self) -> str:
        """The question as it is asked."""
        told = ", ".join(self.told(plan) for plan in range(self.level))
        return f"{self.name} has {self.start} {self.thing}, wants tens: {told}. How many midway?"

    def told(self, plan: int) -> str:
        """A plan with its letter: `B2+8`."""
        first, second = self.plans[plan]
        return f"{LETTERS[plan]}{first}+{second}"

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
    start = rng.choice(_START)
    right = rng.choice([(a, b) for a in _CHANGE for b in _CHANGE if (start + a + b) % TEN == 0])
    firsts = rng.sample([first for first in _CHANGE if first != right[0]], level - 1)
    seconds = ([second for second in _CHANGE if (start + first + second) % TEN] for first in firsts)
    plans = [right, *((first, rng.choice(wrong)) for first, wrong in zip(firsts, seconds, strict=True))]
    rng.shuffle(plans)
    return Plans(rng.choice(NAMES), rng.choice(THINGS), start, tuple(plans), plans.index(right))
