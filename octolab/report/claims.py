"""What the run shows, decided from the sample logs alone.

In go 0/1 outcomes of evaluation samples before and after RL; out come claims with an effect in accuracy points,
a 95% interval and a verdict. Samples of one problem are averaged first, and the interval is a paired bootstrap
over problems (Efron 1979; pairing as in Koehn 2004), because problems, not samples, are what another test set
would draw anew. Where every problem moved alike the bootstrap sees no spread, and a bound on the share of
problems that might move otherwise takes its place: none of 8 problems solved is no proof. Zero-shot
and few-shot sets are never compared with one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
FEW_SHOT = "@few_shot"
HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"

Outcomes = dict[str, float]
"""Problem id -> share of its samples that are correct."""


@dataclass(frozen=True)
class Effect:
    """A difference in accuracy points with its 95% interval, over `n` problems."""

    points: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Claim:
    """A statement, the effect that speaks for or against it, and the verdict."""

    id: str
    statement: str
    set: str
    effect: float | None
    ci95: list[float] | None
    n: int
    verdict: str


def paired_bootstrap(
    before: NDArray[np.float64], after: NDArray[np.float64], seed: int, reach: float = 100.0
) -> Effect:
    """`bootstrap` of `after - before` in points; both are (problems,) fractions in the same order.

    Raises:
        ValueError: the arrays are empty or differ in shape.
    """
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise ValueError(f"paired outcomes need one shape (problems,), got {before.shape} and {after.shape}")
    return bootstrap(100.0 * (after - before), seed, reach)


def bootstrap(difference: NDArray[np.float64], seed: int, reach: float) -> Effect:
    """Mean of (problems,) differences, with the 2.5th and 97.5th percentile over resampled problems.

    Drawing n problems with replacement is drawing the counts of each distinct difference from a multinomial; that
    is how it is computed, since outcomes take few values: 10,000 resamples cost the same for 100 problems as for
    10,000.

    If all n differences equal d, the share of problems that would differ is at most p = 1 - 0.025^(1/n)
    (Clopper and Pearson 1934), and such a problem lies within -reach..reach: the interval is then
    d - p (reach + d) .. d + p (reach - d).
    """
    difference = np.round(difference, 9)
    values, counts = np.unique(difference, return_counts=True)
    n = difference.size
    if len(values) == 1:
        point, share = float(values[0]), 1.0 - 0.025 ** (1.0 / n)
        return Effect(point, point - share * (reach + point), point + share * (reach - point), n)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=RESAMPLES)  # (resamples, values)
    low, high = np.percentile(drawn @ values / n, [2.5, 97.5])
    return Effect(float(difference.mean()), float(low), float(high), n)


def verdict(effect: Effect) -> str:
    """`holds` if the whole interval is above zero, `does not hold` if none of it is, else `cannot tell`."""
    if effect.low > 0:
        return HOLDS
    return FAILS if effect.high <= 0 else UNKNOWN


def outcomes(samples: Iterable[dict[str, Any]]) -> dict[str, Outcomes]:
    """Set -> problem -> share of correct samples, from records of a samples.jsonl."""
    gathered: dict[str, dict[str, list[bool]]] = {}
    for record in samples:
        problems = gathered.setdefault(record["set"], {})
        problems.setdefault(str(record["problem_id"]), []).append(bool(record["correct"]))
    return {name: {p: sum(c) / len(c) for p, c in problems.items()} for name, problems in gathered.items()}


def aligned(*models: Outcomes) -> list[NDArray[np.float64]]:
    """Outcomes of the problems that all of `models` answered, each (problems,), in one order."""
    common = sorted(set(models[0]).intersection(*models[1:])) if models else []
    return [np.array([model[problem] for problem in common]) for model in models]


def gain_claim(name: str, set_: str, before: Outcomes, after: Outcomes, seed: int) -> Claim:
    """Does RL raise the accuracy of `name` on `set_`?"""
    first, second = aligned(before, after)
    statement = f"RL raises {name}'s accuracy on {set_}"
    return _claim(f"gain/{name}/{set_}", statement, set_, first, second, seed, reach=100.0)


def gains_more_claim(
    name: str, baseline: str, set_: str, pair: tuple[Outcomes, Outcomes], base: tuple[Outcomes, Outcomes], seed: int
) -> Claim:
    """Does RL gain more on `name` than on `baseline`? Each pair is outcomes (before, after) on `set_`."""
    before, after, base_before, base_after = aligned(*pair, *base)
    statement = f"RL gains more on {name} than on {baseline}"
    return _claim(
        f"gains_more/{name}/{set_}", statement, set_, base_after - base_before, after - before, seed, reach=200.0
    )


def _claim(
    id_: str,
    statement: str,
    set_: str,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    seed: int,
    reach: float,
) -> Claim:
    if not low.size:
        return Claim(id_, statement, set_, None, None, 0, UNKNOWN)
    effect = paired_bootstrap(low, high, seed, reach)
    interval = [round(effect.low, 6), round(effect.high, 6)]
    return Claim(id_, statement, set_, round(effect.points, 6), interval, effect.n, verdict(effect))


def claims_of(rl: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]], seed: int) -> list[dict[str, Any]]:
    """All claims of a run.

    `rl` maps a model's name to its sample records (before, after), the baseline first. A model that lacks one
    of the two gets claims that say `cannot tell`, so that an absent run is seen to be absent.
    """
    logs = {name: (outcomes(before), outcomes(after)) for name, (before, after) in rl.items()}
    sets = list(dict.fromkeys(s for pair in logs.values() for log in pair for s in log if not s.endswith(FEW_SHOT)))
    found = []
    for set_ in sets:
        pairs = {name: (before.get(set_, {}), after.get(set_, {})) for name, (before, after) in logs.items()}
        found += [gain_claim(name, set_, *pair, seed) for name, pair in pairs.items()]
        baseline = next(iter(pairs))
        for name in list(pairs)[1:]:
            found.append(gains_more_claim(name, baseline, set_, pairs[name], pairs[baseline], seed))
    return [asdict(claim) for claim in found]
