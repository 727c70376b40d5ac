"""The mixture meets its shares at every prefix and its order is a function of (seed, position)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.tokens.mixture import Mixture, Source


def _sources(fill: list[int], rows: int = 10**6) -> list[Source]:
    return [Source(f"s{i}", rows, rows * per_row) for i, per_row in enumerate(fill)]


@st.composite
def mixtures(draw: st.DrawFn, most: int = 12) -> Mixture:
    parts = draw(st.lists(st.one_of(st.integers(1, 5), st.integers(1, 1000)), min_size=1, max_size=most))
    fill = draw(st.lists(st.integers(1, 100), min_size=len(parts), max_size=len(parts)))
    weights = {f"s{i}": part / sum(parts) for i, part in enumerate(parts)}
    return Mixture(_sources(fill), weights, draw(st.integers(1, 800)), seed=draw(st.integers(0, 99)))


def _deviation(mixture: Mixture) -> float:
    """Largest distance, over prefixes and sources, between rows given and rows due."""
    source_N, _ = mixture.rows(0, mixture.total_rows)
    share_S = np.array([mixture.weights[s.name] * s.rows / s.tokens for s in mixture.sources])
    counts_NS = np.cumsum(source_N[:, None] == np.arange(len(share_S)), axis=0)
    due_NS = np.arange(1, len(source_N) + 1)[:, None] * (share_S / share_S.sum())
    return float(np.abs(counts_NS - due_NS).max())


@given(mixtures())
def test_every_prefix_is_within_two_rows_of_its_shares(mixture: Mixture) -> None:
    assert _deviation(mixture) < 1.68


@given(mixtures(most=3))
def test_up_to_three_sources_are_within_one_row(mixture: Mixture) -> None:
    assert _deviation(mixture) < 1 + 1e-9


def test_many_small_sources_do_not_come_in_a_burst() -> None:
    weights = {"s0": 0.7, **{f"s{i}": 0.01 for i in range(1, 31)}}
    mixture = Mixture(_sources([10] * 31), weights, 400, seed=0)
    assert _deviation(mixture) < 1.68
    source_N, _ = mixture.rows(0, 400)
    assert min((w == 0).sum() for w in np.lib.stride_tricks.sliding_window_view(source_N, 20)) >= 10


@given(mixtures(), st.data())
def test_ranges_join_to_the_whole(mixture: Mixture, data: st.DataObject) -> None:
    n = mixture.total_rows
    whole = mixture.rows(0, n)
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    parts = [mixture.rows(a, b - a) for a, b in itertools.pairwise(cuts)]
    for k in (0, 1):
        assert np.array_equal(np.concatenate([part[k] for part in parts]), whole[k])
    assert np.array_equal(np.bincount(whole[0], minlength=len(mixture.sources)), mixture.counts)


@given(mixtures(), st.integers(1, 500))
def test_a_longer_training_begins_like_the_shorter(mixture: Mixture, more: int) -> None:
    n = mixture.total_rows
    longer = Mixture(mixture.sources, mixture.weights, n + more, mixture.seed)
    for ours, theirs in zip(mixture.rows(0, n), longer.rows(0, n), strict=True):
        assert np.array_equal(ours, theirs)
    assert all(a <= b for a, b in zip(mixture.counts, longer.counts, strict=True))


@given(mixtures(), st.randoms())
def test_the_order_of_the_sources_does_not_matter(mixture: Mixture, random: object) -> None:
    sources = list(mixture.sources)
    random.shuffle(sources)  # type: ignore[attr-defined]
    other = Mixture(sources, dict(reversed(mixture.weights.items())), mixture.total_rows, mixture.seed)
    (a, row_a), (b, row_b) = mixture.rows(0, mixture.total_rows), other.rows(0, mixture.total_rows)
    assert [mixture.sources[i].name for i in a] == [sources[i].name for i in b] and np.array_equal(row_a, row_b)


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    mixture = Mixture([Source("a", 17, 170), Source("b", 50, 500)], {"a": 0.5, "b": 0.5}, 130, seed=3)
    source_N, row_N = mixture.rows(0, 130)
    rows = row_N[source_N == 0]
    assert len(rows) == 65
    epochs = [rows[i : i + 17] for i in range(0, 51, 17)]
    assert all(sorted(epoch) == list(range(17)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(set(rows[51:])) == len(rows[51:])


def test_seed_changes_the_rows_but_not_the_interleaving() -> None:
    a = Mixture(_sources([10, 10], 500), {"s0": 0.6, "s1": 0.4}, 200, seed=0).rows(0, 200)
    b = Mixture(_sources([10, 10], 500), {"s0": 0.6, "s1": 0.4}, 200, seed=1).rows(0, 200)
    assert np.array_equal(a[0], b[0]) and not np.array_equal(a[1], b[1])


def test_shares_are_of_tokens_not_of_rows() -> None:
    sources = [Source("full", 1000, 100_000), Source("half", 1000, 50_000)]
    mixture = Mixture(sources, {"full": 0.5, "half": 0.5}, 900, seed=0)
    assert mixture.counts == (300, 600)
    plan = mixture.plan()
    assert plan["full"] == {"rows": 300, "tokens": 30_000, "epochs": 0.3, "share": 0.5}
    assert plan["half"] == {"rows": 600, "tokens": 30_000, "epochs": 0.6, "share": 0.5}


def test_epochs_are_said_aloud() -> None:
    sources = [Source("web", 1000, 10_000), Source("qa", 40, 400)]
    web, qa = Mixture(sources, {"web": 0.9, "qa": 0.1}, 1000, seed=0).lines()
    assert web.startswith("web") and "0.90 epochs" in web and "no row is read twice" in web
    assert qa.startswith("qa ") and "2.50 epochs" in qa and "about 2.5 times" in qa and "10.0%" in qa


def test_a_single_source_and_a_source_of_weight_zero() -> None:
    source_N, row_N = Mixture([Source("only", 8, 80)], {"only": 1.0}, 16, seed=0).rows(0, 16)
    assert not source_N.any() and sorted(row_N[:8]) == sorted(row_N[8:]) == list(range(8))
    none = Mixture(_sources([10, 10]), {"s0": 1.0, "s1": 0.0}, 50, seed=0)
    assert none.counts == (50, 0) and none.plan()["s1"]["share"] == 0


def test_far_positions_are_exact() -> None:
    total = 4_000_000_000
    mixture = Mixture(_sources([10, 10, 10], 10**9), {"s0": 0.5, "s1": 0.3, "s2": 0.2}, total, seed=0)
    assert [round(c / total, 8) for c in mixture.counts] == [0.5, 0.3, 0.2]
    source_N, row_N = mixture.rows(total - 1000, 1000)
    assert np.bincount(source_N).tolist() == pytest.approx([500, 300, 200], abs=2)
    assert row_N.max() < 10**9 and len(set(zip(source_N.tolist(), row_N.tolist(), strict=True))) == 1000


def test_weights_that_do_not_sum_to_one_are_refused_with_the_fix() -> None:
    with pytest.raises(UserError, match=r"sum to 0\.8 and not to 1: write s0: 0\.625, s1: 0\.375$"):
        Mixture(_sources([1, 1]), {"s0": 0.5, "s1": 0.3}, 10, seed=0)
    with pytest.raises(UserError, match="above 0"):
        Mixture(_sources([1, 1]), {"s0": 0.0, "s1": 0.0}, 10, seed=0)
    Mixture(_sources([1, 1, 1]), {"s0": 0.3333333, "s1": 0.3333333, "s2": 0.3333334}, 10, seed=0)


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_weights_that_are_no_shares_are_refused(weight: float) -> None:
    with pytest.raises(UserError, match="'s1' is no share"):
        Mixture(_sources([1, 1]), {"s0": 1.1, "s1": weight}, 10, seed=0)


def test_names_that_do_not_match_are_refused() -> None:
    with pytest.raises(UserError, match="'wbe', which does not exist: use one of"):
        Mixture(_sources([1]), {"wbe": 1.0}, 10, seed=0)
    with pytest.raises(UserError, match="'s1' no weight"):
        Mixture(_sources([1, 1]), {"s0": 1.0}, 10, seed=0)
    with pytest.raises(UserError, match="'s0' has no rows"):
        Mixture([Source("s0", 0, 0)], {"s0": 1.0}, 10, seed=0)


def test_a_source_smaller_than_its_budget_is_refused_with_remedies_that_work() -> None:
    sources = [Source("web", 10_000, 100_000), Source("qa", 10, 100)]
    with pytest.raises(UserError) as error:
        Mixture(sources, {"web": 0.9, "qa": 0.1}, 1000, seed=0)
    text = str(error.value)
    assert "'qa'" in text and "1,000 tokens and it has 100" in text and "10.00 epochs" in text
    assert "weight to about 0.04" in text and "at most 0.4 times the steps" in text and "max_epochs to 10" in text
    Mixture(sources, {"web": 0.96, "qa": 0.04}, 1000, seed=0)
    Mixture(sources, {"web": 0.9, "qa": 0.1}, 400, seed=0)
    Mixture(sources, {"web": 0.9, "qa": 0.1}, 1000, seed=0, max_epochs=10)
    with pytest.raises(UserError, match=r"allowed: train at most 0\.8 times"):  # alone, it has no weight to lower
        Mixture([Source("qa", 10, 100)], {"qa": 1.0}, 50, seed=0)


def test_order_is_the_same_for_ever() -> None:
    """A change here reorders the data of every training that is under way: raise its stage version."""
    mixture = Mixture([Source("a", 5, 50), Source("b", 9, 90)], {"a": 0.3, "b": 0.7}, 10, seed=0)
    source_N, row_N = mixture.rows(0, 10)
    assert source_N.tolist() == [1, 0, 1, 1, 1, 0, 1, 1, 0, 1]
    assert row_N.tolist() == [8, 1, 1, 7, 6, 2, 0, 3, 0, 5]
