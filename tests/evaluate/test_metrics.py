"""Scores as pure functions."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.evaluate.metrics import interval95, set_scores
from octolab.tasks.pass_at_k import pass_at_k, pass_ks


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_mean_over_all_subsets(samples, data):
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    right = [True] * correct + [False] * (samples - correct)
    subsets = list(combinations(right, k))
    assert pass_at_k(samples, correct, k) == pytest.approx(sum(any(s) for s in subsets) / len(subsets))


def test_pass_at_k_needs_k_samples():
    with pytest.raises(ValueError, match="pass@5"):
        pass_at_k(4, 1, 5)
    assert pass_ks(1) == [1] and pass_ks(6) == [1, 2, 4] and pass_ks(8) == [1, 2, 4, 8]


def test_wilson_for_one_sample():
    low, high = interval95([1] * 8 + [0] * 2, 1)
    assert (low, high) == (pytest.approx(0.49016, abs=1e-5), pytest.approx(0.94332, abs=1e-5))
    assert interval95([0] * 50, 1)[0] == 0.0 and interval95([0] * 50, 1)[1] > 0.05


def test_problems_are_the_units_with_several_samples():
    """Ten samples of each of four problems are not forty problems."""
    clustered = interval95([10, 10, 0, 0], 10)
    assert clustered[0] == pytest.approx(max(0, 0.5 - 1.95996 * 0.57735 / 2), abs=1e-4)
    assert clustered[1] - clustered[0] > 0.9


def record(problem, correct, finish="stop", verdict=None, tokens=10, level=None):
    verdict = verdict or ("correct" if correct else "wrong")
    return {"problem_id": problem, "correct": correct, "finish": finish, "verdict": verdict, "tokens": tokens,
            "family": None, "level": level}  # fmt: skip


def test_scores_of_a_set():
    scores = set_scores(
        [
            record("a", True, tokens=4, level="1"),
            record("a", False, finish="length", tokens=20, level="1"),
            record("b", False, verdict="no_answer", tokens=6, level="2"),
            record("b", False, tokens=10, level="2"),
        ]
    )
    assert (scores["acc"], scores["n"], scores["samples"]) == (0.25, 2, 2)
    assert scores["pass_at"] == {"1": 0.25, "2": 0.5}
    assert (scores["length"], scores["length_correct"]) == (10, 4)
    assert (scores["truncation"], scores["no_answer"]) == (0.25, 0.25)
    assert scores["by_level"] == {"1": {"acc": 0.5, "n": 1}, "2": {"acc": 0.0, "n": 1}}
    assert scores["by_family"] == {}


def test_an_incomplete_log_is_no_score():
    with pytest.raises(ValueError, match="same number"):
        set_scores([record("a", True), record("a", True), record("b", True)])
