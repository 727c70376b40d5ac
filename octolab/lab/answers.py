r"""Answers of the small world, from the bare box to the long chain of thought.

In goes a problem and a random stream, out comes the text after `Answer:`. Every kind ends in the right answer inside
`\boxed{}`; only the text before it differs. A short chain of thought shows the winning path. A long one shows the
search: in a story the equations are checked backwards, and a slip is noticed there and sends the writer back to the
start; in a search plan after plan is tried until one ends on a full ten.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from octolab.lab.plans import Plans
from octolab.lab.splits import Problem
from octolab.lab.stories import Move, Story

SLIP = 0.3
"""Chance that a long answer to a story slips once, notices, and begins again."""
_SLIPS = (-10, -2, -1, 1, 2, 10)  # those that keep every number at zero or more


def direct(problem: Problem, rng: random.Random) -> str:
    r"""The bare answer, `\boxed{9}`."""
    return f"\\boxed{{{problem.answer}}}"


def short(problem: Problem, rng: random.Random) -> str:
    """The winning path and nothing else: one equation per move, or the plan that works."""
    return f"{worked(problem)} So {direct(problem, rng)}"


def worked(problem: Problem) -> str:
    """The winning path without the answer."""
    if isinstance(problem, Plans):
        return carried_out(problem, problem.winner)
    return " ".join(f"{equation(*line)}." for line in problem.equations())


def long(problem: Problem, rng: random.Random) -> str:
    """The search: attempts, mistakes noticed, going back."""
    told = _tried_plans(problem) if isinstance(problem, Plans) else _checked_moves(problem, rng)
    return " ".join([*told, f"So {direct(problem, rng)}"])


ANSWERS: dict[str, Callable[[Problem, random.Random], str]] = {"direct": direct, "short": short, "long": long}


def equation(before: int, move: Move, after: int) -> str:
    """`7+5=12`; doubling is written as a sum."""
    return f"{before}+{before}={after}" if move.sign == "*" else f"{before}{move.sign}{move.number}={after}"


def slipped(rng: random.Random, before: int, after: int) -> int:
    """A wrong value near `after` from which checking backwards stays at zero or more."""
    return after + rng.choice([slip for slip in _SLIPS if min(before, after) + slip >= 0])


def carried_out(problem: Plans, plan: int) -> str:
    """A plan as the question tells it and its two equations: `B2+8: 34+2=36. 36+8=44.`"""
    (first, second), midway = problem.plans[plan], problem.midway(plan)
    return f"{problem.told(plan)}: {problem.start}+{first}={midway}. {midway}+{second}={problem.end(plan)}."


def _tried_plans(problem: Plans) -> list[str]:
    dead_ends = [f"Try {carried_out(problem, plan)} No." for plan in range(problem.winner)]
    return [*dead_ends, f"Try {carried_out(problem, problem.winner)} Yes."]


def _checked_moves(story: Story, rng: random.Random) -> list[str]:
    """The equations, then all of them undone from the last; where that does not meet, going back to the start."""
    lines = story.equations()
    told: list[str] = []
    if rng.random() < SLIP:
        slip = rng.randrange(len(lines))
        before, move, after = lines[slip]
        wrong = slipped(rng, before, after)
        told += [f"{equation(*line)}." for line in lines[:slip]]
        told += [f"{equation(before, move, wrong)}.", f"Check {_undone(before, move, wrong)}. No. Again"]
    told += [f"{equation(*line)}." for line in lines]
    backwards = " ".join(f"{_undone(*line)}." for line in reversed(lines))
    return [*told, f"Check {backwards} Yes."]


def _undone(before: int, move: Move, after: int) -> str:
    """The move undone from the value claimed; it meets the value before only if the claim is right."""
    if move.sign == "*":
        return f"{after}-{before}={after - before}"
    if move.sign == "+":
        return f"{after}-{move.number}={after - move.number}"
    return f"{after}+{move.number}={after + move.number}"
