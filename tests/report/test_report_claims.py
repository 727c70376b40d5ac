"""Claims: the interval is the bootstrap's, the verdict follows it, and both come from the logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from octolab.report import collect
from octolab.report.claims import claims_of, outcomes, paired_bootstrap, verdict


def records(set_: str, shares: list[float], samples: int = 4) -> list[dict[str, Any]]:
    """Sample records of one set whose problems have these shares of correct samples."""
    return [
        {"set": set_, "problem_id": p, "sample": s, "correct": s < round(share * samples)}
        for p, share in enumerate(shares)
        for s in range(samples)
    ]


def test_interval_is_that_of_resampling_problems() -> None:
    rng = np.random.default_rng(7)
    before, after = rng.integers(0, 5, 80) / 4, rng.integers(1, 5, 80) / 4
    effect = paired_bootstrap(before, after, seed=0)
    drawn = 100 * (after - before)[rng.integers(0, 80, (20_000, 80))].mean(1)
    assert effect.points == pytest.approx(100 * (after - before).mean())
    assert (effect.low, effect.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.6)
    assert paired_bootstrap(before, after, seed=0) == effect != paired_bootstrap(before, after, seed=1)


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(100)
    after = before + 0.05 + 0.01 * rng.random(100)
    paired = paired_bootstrap(before, after, 0)
    apart = paired_bootstrap(before, rng.permutation(after), 0)
    assert paired.high - paired.low < 0.1 * (apart.high - apart.low)


fractions = arrays(float, 12, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


@given(fractions, fractions)
def test_swapping_before_and_after_mirrors_the_effect(before: np.ndarray, after: np.ndarray) -> None:
    forth, back = paired_bootstrap(before, after, 0), paired_bootstrap(after, before, 0)
    assert forth.points == pytest.approx(-back.points, abs=1e-9)
    assert forth.low <= forth.points <= forth.high
    assert (verdict(forth), verdict(back)) != ("holds", "holds")


def test_no_spread_is_not_certainty() -> None:
    nothing = paired_bootstrap(np.zeros(8), np.zeros(8), 0)
    share = 1 - 0.025 ** (1 / 8)
    assert (nothing.low, nothing.high) == pytest.approx((-100 * share, 100 * share))
    assert verdict(nothing) == "cannot tell"
    everything = paired_bootstrap(np.zeros(8), np.ones(8), 0)
    assert (everything.low, everything.high) == pytest.approx((100 - 200 * share, 100))
    assert verdict(everything) == "holds"
    one = paired_bootstrap(np.zeros(1), np.ones(1), 0)
    assert verdict(one) == "cannot tell"


@pytest.mark.parametrize(("shape", "other"), [((0,), (0,)), ((3,), (4,)), ((3, 1), (3, 1))])
def test_unpaired_outcomes_are_refused(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap(np.zeros(shape), np.zeros(other), 0)


def test_samples_of_a_problem_are_averaged_first() -> None:
    few = records("word", [1.0], samples=1)
    many = [r | {"problem_id": "other"} for r in records("word", [0.0], samples=9)]
    assert outcomes(few + many) == {"word": {"0": 1.0, "other": 0.0}}
    (claim,) = claims_of({"m": (few + many, [r | {"correct": True} for r in few + many])}, 0)
    assert claim["effect"] == 50.0  # not 90: one problem of two changed
    assert claim["n"] == 2


def test_claims_of_a_run_in_order_and_without_few_shot() -> None:
    low, high = [0.0, 0.25] * 20, [0.75, 1.0] * 20
    flat = (records("word", low) + records("word@few_shot", low), records("word", low))
    steep = (records("word", low), records("word", high) + records("word@few_shot", high))
    claims = claims_of({"plain": flat, "short": steep}, 0)
    assert [c["id"] for c in claims] == ["gain/plain/word", "gain/short/word", "gains_more/short/word"]
    assert [c["effect"] for c in claims] == [0.0, 75.0, 75.0]
    assert [c["verdict"] for c in claims] == ["cannot tell", "holds", "holds"]
    worse = claims_of({"plain": steep, "short": flat}, 0)
    assert [c["verdict"] for c in worse] == ["holds", "cannot tell", "does not hold"]


def test_only_problems_that_both_answered_are_compared() -> None:
    after = records("word", [1.0] * 30)[: 4 * 20]
    (claim,) = claims_of({"m": (records("word", [0.0] * 30), after)}, 0)
    assert claim["n"] == 20


def test_an_absent_evaluation_cannot_tell() -> None:
    claims = claims_of({"plain": (records("word", [0.5] * 9), []), "short": ([], [])}, 0)
    assert {c["verdict"] for c in claims} == {"cannot tell"}
    assert all(c["effect"] is None and c["ci95"] is None and c["n"] == 0 for c in claims)


def test_flipping_labels_in_the_log_flips_the_verdict(make_run: Callable[..., Path]) -> None:
    run = make_run(problems=40, models=("plain", "long"))

    def verdict_of(id_: str) -> str:
        return next(c["verdict"] for c in collect(run)["claims"] if c["id"] == id_)

    assert verdict_of("gain/long/word") == verdict_of("gains_more/long/word") == "holds"
    for log in ("eval/long", "eval/rl/long"):
        path = run / "stages" / log / "samples.jsonl"
        flipped = [r | {"correct": not r["correct"]} for r in map(json.loads, path.read_text().splitlines())]
        path.write_text("".join(json.dumps(r) + "\n" for r in flipped))
    assert verdict_of("gain/long/word") == verdict_of("gains_more/long/word") == "does not hold"
