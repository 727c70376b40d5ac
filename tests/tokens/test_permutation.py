"""The keyed shuffle is a permutation, depends on its key, and looks like one drawn at random."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from octolab.tokens.permutation import key_of, permute

KEYS = st.integers(0, 2**64 - 1)


@given(st.one_of(st.integers(1, 70), st.integers(1, 5000)), KEYS)
def test_is_a_bijection(n: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, key)), np.arange(n))


@given(st.integers(1, 2000), KEYS, st.data())
def test_an_element_does_not_depend_on_the_others(n: int, key: int, data: st.DataObject) -> None:
    whole = permute(np.arange(n), n, key)
    some = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=10)), dtype=np.int64)
    assert np.array_equal(permute(some, n, key), whole[some])


@given(st.integers(30, 3000), KEYS, KEYS)
def test_another_key_gives_another_order(n: int, key: int, other: int) -> None:
    if key != other:
        assert not np.array_equal(permute(np.arange(n), n, key), permute(np.arange(n), n, other))


def test_large_sets_stay_in_range_and_apart() -> None:
    for n in (2**40 + 1, 2**62):
        index = np.array([0, 1, 2, n // 2, n - 2, n - 1])
        out = permute(index, n, 7)
        assert out.dtype == np.int64 and out.min() >= 0 and out.max() < n and len(set(out.tolist())) == 6


def test_looks_random() -> None:
    n, trials = 64, 2000
    orders = np.stack([permute(np.arange(n), n, key_of("trial", t)) for t in range(trials)])
    # every element reaches every place about equally often: chi-square of each place, mean n-1, sd sqrt(2(n-1))
    counts = np.stack([np.bincount(orders[:, i], minlength=n) for i in range(n)])
    chi2 = ((counts - trials / n) ** 2 / (trials / n)).sum(axis=1)
    assert chi2.max() < (n - 1) + 6 * np.sqrt(2 * (n - 1))
    # neighbours do not stay neighbours: 2/n of all steps are +-1 by chance
    steps = np.abs(np.diff(orders, axis=1)) == 1
    assert abs(steps.mean() - 2 / n) < 0.005


def test_key_of_is_stable_and_unambiguous() -> None:
    keys = [key_of(0, "a", 1), key_of(0, "a1"), key_of("0", "a", 1), key_of(0, "a", 1, 0), key_of(1, "a", 0), key_of()]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)
    assert key_of(3, "web", 2) == 3456126331260345085  # on every machine, in every process


def test_order_is_the_same_for_ever() -> None:
    """A change here reorders the data of every training that is under way: raise its stage version."""
    assert permute(np.arange(10), 10, 1).tolist() == [5, 2, 7, 1, 3, 8, 9, 6, 0, 4]
