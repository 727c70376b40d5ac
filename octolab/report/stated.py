"""The recipe's own claims, decided from the sample logs of one run or of several seeds.

In go stated claims (`recipe.claims`) and, seed by seed, the sample records of every evaluated checkpoint; out comes
for each claim its parts, each with effect, 95% interval and verdict. A part's effect is a sum over checkpoints of a
quantity measured on the same problems, so the interval over problems is a paired bootstrap. Several seeds are
averaged problem by problem, and Student's interval over the seeds' effects is asked as well (Student 1908): a claim
holds only if both intervals say so. Absent runs leave a claim at `cannot tell`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from octolab.recipe.claims import Bound, StatedClaim
from octolab.report.claims import FAILS, HOLDS, UNKNOWN, bootstrap

Record = dict[str, Any]
Samples = Mapping[str, Sequence[Record]]
"""Evaluated checkpoint -> its sample records."""
Problem = tuple[str, str]
"""Set and id."""

MEASURES: dict[str, tuple[Callable[[Record], float], float]] = {
    "accuracy": (lambda record: float(record["correct"]), 100.0),
    "truncation": (lambda record: float(record["finish"] == "length"), 100.0),
    "length": (lambda record: float(record["tokens"]), 1.0),
}
"""What a sample record says, and the factor to points or tokens."""

STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5% points of Student's distribution with 1 to 9 degrees of freedom; beyond, the last one is wide enough."""


def stated_claims(claims: Mapping[str, StatedClaim], seeds: Sequence[Samples], seed: int) -> list[Record]:
    """All claims in order, each {"id", "statement", "set", "effect", "ci95", "n", "verdict", "parts": [part, ...]}.

    A part is {"sum", "measure", "sets", "family", "limit", "effect", "ci95", "ci95_seeds", "by_seed", "n", "verdict"}.
    The claim's own effect is that of the part that decides: of those with the claim's verdict, the one that is
    furthest beyond its limit or nearest to it.
    """
    return [_claim(name, claim, seeds, seed) for name, claim in claims.items()]


def _claim(name: str, claim: StatedClaim, seeds: Sequence[Samples], seed: int) -> Record:
    parts = [_part(bound, bound.sets or claim.sets, seeds, seed) for bound in claim.all]
    verdicts = [part["verdict"] for part in parts]
    verdict = FAILS if FAILS in verdicts else UNKNOWN if UNKNOWN in verdicts else HOLDS
    deciding = min(
        (part for part in parts if part["verdict"] == verdict),
        key=lambda part: math.inf if part["effect"] is None else _margin(part),
    )
    shown = {key: deciding[key] for key in ("effect", "ci95", "n")}
    sets = ", ".join(deciding["sets"])
    return {"id": name, "statement": claim.statement, "set": sets, **shown, "verdict": verdict, "parts": parts}


def _part(bound: Bound, sets: Sequence[str], seeds: Sequence[Samples], seed: int) -> Record:
    limit, value = bound.limit
    part: Record = {
        "sum": dict(bound.sum),
        "measure": bound.measure,
        "sets": list(sets),
        "family": bound.family,
        "limit": {limit: value},
        "effect": None,
        "ci95": None,
        "ci95_seeds": None,
        "by_seed": [],
        "n": 0,
        "verdict": UNKNOWN,
    }
    columns = [_values(bound, sets, samples) for samples in seeds]
    if not columns or any(not column for column in columns):
        return part
    common = sorted(set(columns[0]).intersection(*columns[1:]))
    values_SP = np.array([[column[problem] for problem in common] for column in columns])
    effect = bootstrap(values_SP.mean(0), seed, _reach(bound, seeds))
    by_seed = values_SP.mean(1)
    intervals = [[effect.low, effect.high]]
    if len(columns) > 1:
        over_seeds = student_interval(by_seed)
        part["ci95_seeds"] = [round(edge, 6) for edge in over_seeds]
        intervals.append(over_seeds)
    verdicts = {decide(limit, value, low, high) for low, high in intervals}
    return part | {
        "effect": round(effect.points, 6),
        "ci95": [round(effect.low, 6), round(effect.high, 6)],
        "by_seed": [round(float(one), 6) for one in by_seed],
        "n": effect.n,
        "verdict": verdicts.pop() if len(verdicts) == 1 else UNKNOWN,
    }


def _values(bound: Bound, sets: Sequence[str], samples: Samples) -> dict[Problem, float]:
    """The sum for every problem that all its checkpoints answered; empty where a checkpoint or set is absent."""
    factor = MEASURES[bound.measure][1]
    terms = {node: _measured(samples.get(node, ()), bound, sets) for node in bound.sum}
    if any({set_ for set_, _ in term} != set(sets) for term in terms.values()):
        return {}
    common = set.intersection(*(set(term) for term in terms.values()))
    return {
        problem: factor * sum(weight * terms[node][problem] for node, weight in bound.sum.items()) for problem in common
    }


def _measured(records: Iterable[Record], bound: Bound, sets: Sequence[str]) -> dict[Problem, float]:
    """Mean over a problem's samples."""
    read = MEASURES[bound.measure][0]
    gathered: dict[Problem, list[float]] = {}
    for record in records:
        if record["set"] in sets and bound.family in (None, record.get("family")):
            gathered.setdefault((record["set"], str(record["problem_id"])), []).append(read(record))
    return {problem: statistics.fmean(values) for problem, values in gathered.items()}


def _reach(bound: Bound, seeds: Sequence[Samples]) -> float:
    """How far from zero the sum of one problem can lie."""
    read, factor = MEASURES[bound.measure]
    top = 1.0
    if bound.measure == "length":
        top = max(read(record) for samples in seeds for node in bound.sum for record in samples[node])
    up = sum(weight for weight in bound.sum.values() if weight > 0)
    down = sum(-weight for weight in bound.sum.values() if weight < 0)
    return factor * top * max(up, down)


def student_interval(effects: NDArray[np.float64]) -> list[float]:
    """95% interval of the mean of a few independent effects, [low, high]: mean +- t * sd / sqrt(n), sd with ddof 1."""
    n = len(effects)
    half = STUDENT[min(n - 2, len(STUDENT) - 1)] * float(effects.std(ddof=1)) / math.sqrt(n)
    return [float(effects.mean()) - half, float(effects.mean()) + half]


def decide(limit: str, value: float, low: float, high: float) -> str:
    """`holds` if the whole interval keeps the bound, `does not hold` if the whole interval breaks it."""
    if limit == "within":
        keeps, breaks = -value <= low and high <= value, low > value or high < -value
    elif limit == "at_most":
        keeps, breaks = high <= value, low > value
    elif limit == "at_least":
        keeps, breaks = low >= value, high < value
    else:
        keeps, breaks = low > value, high <= value
    return HOLDS if keeps else FAILS if breaks else UNKNOWN


def _margin(part: Record) -> float:
    """Distance of the effect from its limit, above zero on the side that keeps it."""
    ((limit, value),) = part["limit"].items()
    effect = part["effect"]
    if limit == "within":
        return value - abs(effect)
    return value - effect if limit == "at_most" else effect - value
