"""Packing: every document once, no row too long, and no worse than it should be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.tokens.packing import WINDOW, cut, pack

LENGTHS = st.integers(1, 64).flatmap(lambda row: st.tuples(st.just(row), st.lists(st.integers(1, row), max_size=200)))


@given(LENGTHS)
def test_every_document_once_and_no_row_too_long(case: tuple[int, list[int]]) -> None:
    row_length, lengths = case
    rows = pack(lengths, row_length)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= row_length for row in rows)
    assert all(row == sorted(row) for row in rows)


@given(LENGTHS)
def test_no_two_rows_would_fit_into_one(case: tuple[int, list[int]]) -> None:
    row_length, lengths = case
    fill = sorted(sum(lengths[i] for i in row) for row in pack(lengths, row_length))
    assert len(fill) < 2 or fill[0] + fill[1] > row_length


def test_a_window_of_natural_lengths_is_packed_tightly() -> None:
    lengths = np.random.default_rng(0).lognormal(5.5, 1.0, WINDOW).astype(int).clip(1, 1024)
    rows = pack(lengths, 1024)
    assert lengths.sum() / (len(rows) * 1024) > 0.99


def test_takes_the_fullest_row_that_still_fits() -> None:
    # 7 and 6 open rows with 3 and 4 free; 3 must close the first, not enter the roomier second
    assert pack([6, 7, 3, 4], 10) == [[1, 2], [0, 3]]


def test_equal_documents_keep_their_order() -> None:
    assert pack([5, 5, 5, 5, 5], 10) == [[0, 1], [2, 3], [4]]


def test_empty_and_unfit_input() -> None:
    assert pack([], 8) == []
    for unfit in ([9], [0, 3]):
        with pytest.raises(AssertionError):
            pack(unfit, 8)


@given(st.integers(1, 50), st.integers(1, 9))
def test_cut_loses_nothing(n: int, row_length: int) -> None:
    pieces = cut(np.arange(n), row_length)
    assert np.array_equal(np.concatenate(pieces), np.arange(n))
    assert [len(p) for p in pieces[:-1]] == [row_length] * (len(pieces) - 1) and 1 <= len(pieces[-1]) <= row_length
