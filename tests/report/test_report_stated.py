"""Stated claims: verdicts follow intervals, intervals follow the logs, and flipped labels flip verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.recipe.claims import StatedClaim
from octolab.report.stated import decide, stated_claims, student_interval

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"
rng = np.random.default_rng(5)


def log(share: float, *, set_: str = "lab", n: int = 200, tokens: int = 20, **more: Any) -> list[dict[str, Any]]:
    """Two samples for each of `n` problems, right with chance `share`; odd problems are of family `search`."""
    return [
        {
            "set": set_,
            "problem_id": problem,
            "sample": sample,
            "correct": bool(rng.random() < share),
            "tokens": tokens + problem % 3,
            "finish": "stop",
            "family": "search" if problem % 2 else "story",
        }
        | more
        for problem in range(n)
        for sample in range(2)
    ]


def claim(*bounds: dict[str, Any], sets: tuple[str, ...] = ("lab",)) -> StatedClaim:
    return StatedClaim.model_validate({"statement": "so it is", "sets": list(sets), "all": list(bounds)})


def one(stated: StatedClaim, *seeds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return stated_claims({"c": stated}, list(seeds), 0)[0]


GAIN = {"rl/short": 1.0, "short": -1.0}


def test_effect_is_the_sum_over_the_same_problems_and_flipping_labels_flips_the_verdict() -> None:
    run = {"short": log(0.2), "rl/short": log(0.8)}
    found = one(claim({"sum": GAIN, "at_least": 10}), run)
    share = {node: np.mean([r["correct"] for r in records]) for node, records in run.items()}
    assert found["effect"] == pytest.approx(100 * (share["rl/short"] - share["short"]))
    assert found["verdict"] == HOLDS and found["n"] == 200 and found["set"] == "lab"
    low, high = found["ci95"]
    assert low < found["effect"] < high and 8 < high - low < 25
    flipped = {node: [r | {"correct": not r["correct"]} for r in records] for node, records in run.items()}
    assert one(claim({"sum": GAIN, "at_least": 10}), flipped)["verdict"] == FAILS


def test_every_bound_must_hold_and_the_one_that_decides_is_shown() -> None:
    run = {"short": log(0.2), "rl/short": log(0.8), "plain": log(0.1)}
    both = claim({"sum": GAIN, "at_least": 10}, {"sum": {"plain": 1}, "at_least": 50})
    found = one(both, run)
    assert found["verdict"] == FAILS and found["effect"] == found["parts"][1]["effect"]
    assert [part["verdict"] for part in found["parts"]] == [HOLDS, FAILS]
    unknown = claim({"sum": GAIN, "at_least": 10}, {"sum": {"absent": 1}, "at_least": 50})
    assert one(unknown, run)["verdict"] == UNKNOWN and one(unknown, run)["effect"] is None


def test_absent_runs_sets_and_families_cannot_tell() -> None:
    run = {"short": log(0.2), "rl/short": log(0.8)}
    for stated in (
        claim({"sum": {"rl/long": 1}, "above": 0}),
        claim({"sum": GAIN, "above": 0}, sets=("lab", "lab_beyond")),
        claim({"sum": GAIN, "above": 0, "family": "geometry"}),
    ):
        assert one(stated, run)["verdict"] == UNKNOWN
    assert one(claim({"sum": GAIN, "above": 0}), {})["verdict"] == UNKNOWN


def test_families_sets_and_measures() -> None:
    run = {"a": log(0.5, tokens=30), "b": log(0.5, tokens=20)}
    run["b"] += log(0.5, set_="more", tokens=50)
    run["a"] += log(0.5, set_="more", tokens=10)
    longer = {"sum": {"a": 1, "b": -1}, "measure": "length", "above": 0}
    assert one(claim(longer), run)["effect"] == 10
    assert one(claim(longer), run)["verdict"] == HOLDS
    assert one(claim(longer, sets=("lab", "more")), run)["effect"] == -15
    assert one(claim(longer | {"sets": ["more"]}), run)["effect"] == -40
    assert one(claim({"sum": {"a": 1}, "above": 0, "family": "search"}), run)["n"] == 100
    cut = {"a": log(0.5, finish="length"), "b": log(0.5)}
    found = one(claim({"sum": {"a": 1, "b": -1}, "measure": "truncation", "at_least": 20}), cut)
    assert found["effect"] == 100 and found["verdict"] == HOLDS and found["ci95"][0] < 100  # no spread is no certainty


def test_seeds_are_averaged_by_problem_and_asked_for_their_spread() -> None:
    agreeing = [{"short": log(0.2), "rl/short": log(0.8)} for _ in range(3)]
    found = one(claim({"sum": GAIN, "at_least": 10}), *agreeing)
    (part,) = found["parts"]
    assert part["by_seed"] == pytest.approx([one(claim({"sum": GAIN, "above": 0}), run)["effect"] for run in agreeing])
    assert found["effect"] == pytest.approx(np.mean(part["by_seed"])) and found["verdict"] == HOLDS
    assert part["ci95_seeds"] == pytest.approx(student_interval(np.array(part["by_seed"])), abs=1e-5)
    apart = [{"short": log(0.2), "rl/short": log(share)} for share in (0.2, 0.5, 0.9)]
    found = one(claim({"sum": GAIN, "at_least": 10}), *apart)
    assert found["ci95"][0] > 10 > found["parts"][0]["ci95_seeds"][0] and found["verdict"] == UNKNOWN


def test_students_interval_is_the_textbooks() -> None:
    assert student_interval(np.array([10.0, 12.0, 14.0])) == pytest.approx([12 - 4.968, 12 + 4.968], abs=1e-3)


edges = st.tuples(st.floats(-50, 50), st.floats(-50, 50)).map(sorted)


@given(st.sampled_from(["at_least", "at_most", "above", "within"]), st.floats(1, 20), edges)
def test_a_verdict_is_the_same_as_asking_both_ends_of_the_interval(limit: str, value: float, edge: list[float]) -> None:
    keeps = {
        "at_least": lambda x: x >= value,
        "at_most": lambda x: x <= value,
        "above": lambda x: x > value,
        "within": lambda x: abs(x) <= value,
    }[limit]
    inside = np.linspace(*edge, 201)
    wanted = HOLDS if all(map(keeps, inside)) else UNKNOWN
    found = decide(limit, value, *edge)
    assert (found == HOLDS) == (wanted == HOLDS)
    if found == FAILS:
        assert not any(map(keeps, inside))
