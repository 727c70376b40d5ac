"""Metrics of a rollout step: lengths apart by outcome, null where there is nothing, repetition, clip fractions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.rl.metrics import TokenStats, repetition, rollout_metrics
from octolab.store.logs import finite


def batch(rollout, *rows):
    """Rollouts from (verdict, length, finish)."""
    return [
        rollout([1], list(range(length)), group=index // 2, sample=index % 2, verdict=verdict, finish=finish,
                reward=math.nan if verdict == "error" else None)
        for index, (verdict, length, finish) in enumerate(rows)
    ]  # fmt: skip


def test_lengths_by_outcome(rollout):
    metrics = rollout_metrics(
        batch(
            rollout,
            ("correct", 4, "stop"), ("wrong", 10, "stop"),
            ("correct", 6, "length"), ("no_answer", 20, "length"),
        ), 2,
    )  # fmt: skip
    assert metrics["length/all"] == 10 and metrics["length/min"] == 4 and metrics["length/max"] == 20
    assert metrics["length/correct"] == 5
    assert metrics["length/wrong"] == 15
    assert metrics["length/truncated"] == 13
    assert metrics["length/finished"] == 7
    assert metrics["truncated"] == 0.5 and metrics["accuracy"] == 0.5


def test_a_truncated_row_that_is_long_hides_in_none_of_the_means(rollout):
    """Correct answers alone keep their length while the wrong ones run into the cap."""
    healthy = rollout_metrics(batch(rollout, ("correct", 5, "stop"), ("wrong", 5, "stop")), 2)
    sick = rollout_metrics(batch(rollout, ("correct", 5, "stop"), ("wrong", 90, "length")), 2)
    assert healthy["length/correct"] == sick["length/correct"]
    assert sick["length/wrong"] == sick["length/truncated"] == 90


def test_null_where_there_is_none(rollout):
    metrics = finite(rollout_metrics(batch(rollout, ("wrong", 3, "stop"), ("wrong", 3, "stop")), 2))
    assert metrics["length/correct"] is None and metrics["length/truncated"] is None
    assert metrics["length/wrong"] == metrics["length/finished"] == 3
    cut = finite(rollout_metrics(batch(rollout, ("correct", 3, "length"), ("correct", 3, "length")), 2))
    assert cut["length/wrong"] is None and cut["length/finished"] is None


def test_groups(rollout):
    kinds = [("correct", "correct"), ("wrong", "no_answer"), ("correct", "timeout"), ("unparsed", "wrong")]
    rows = [(verdict, 1, "stop") for pair in kinds for verdict in pair]
    metrics = rollout_metrics(batch(rollout, *rows), 2)
    assert (metrics["groups/all_right"], metrics["groups/all_wrong"], metrics["groups/mixed"]) == (0.25, 0.5, 0.25)
    four = rollout_metrics(batch(rollout, *rows), 4)
    assert (four["groups/all_right"], four["groups/all_wrong"], four["groups/mixed"]) == (0, 0, 1)


def test_verdicts_and_unscorable(rollout):
    names = ["correct", "wrong", "wrong", "no_answer", "unparsed", "timeout", "error", "error"]
    metrics = rollout_metrics(batch(rollout, *[(name, 1, "stop") for name in names]), 2)
    counted = {name: metrics[f"verdict/{name}"] for name in set(names)}
    assert counted == {"correct": 1, "wrong": 2, "no_answer": 1, "unparsed": 1, "timeout": 1, "error": 2}
    assert metrics["unscorable"] == 2 and metrics["no_answer"] == 1 / 8
    assert metrics["reward/mean"] == pytest.approx(1 / 6), "an unscorable sample is in no mean"


def test_nothing_scorable(rollout):
    metrics = finite(rollout_metrics(batch(rollout, ("error", 1, "stop"), ("error", 2, "stop")), 2))
    assert metrics["reward/mean"] is None and metrics["reward/std"] is None and metrics["unscorable"] == 2


@pytest.mark.parametrize(
    ("ids", "share"),
    [
        ([], 0.0),
        ([1, 2, 3], 0.0),
        ([1, 2, 3, 4], 0.0),
        ([1, 2, 3, 4, 1, 2, 3, 4], 1 - 4 / 5),
        ([7] * 10, 1 - 1 / 7),
        (list(range(50)), 0.0),
    ],
)
def test_repetition(ids, share):
    assert repetition(ids) == pytest.approx(share)


@given(st.lists(st.integers(0, 3), max_size=40))
def test_repetition_is_a_share(ids):
    assert 0.0 <= repetition(ids) < 1.0


class TestTokenStats:
    def test_clip_fractions_count_only_clips_that_act(self):
        stats = TokenStats(0.2, 0.28)
        rho = np.array([1.5, 1.5, 0.5, 0.5, 1.25, 0.85, 1.0, 1.0])
        advantage = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 0.0, 1.0])
        stats.add(rho, advantage, np.zeros(8))
        metrics = stats.metrics()
        assert metrics["clip/high"] == metrics["clip/low"] == 1 / 8
        assert metrics["ratio/max"] == 1.5 and metrics["ratio/mean"] == pytest.approx(rho.mean())

    def test_means_are_over_tokens_not_over_microbatches(self):
        stats = TokenStats(0.2, 0.2)
        stats.add(np.ones(1), np.ones(1), np.array([5.0]))
        stats.add(np.ones(3), np.ones(3), np.array([1.0, 1.0, 1.0]))
        stats.add_engine(np.array([-1.0]), np.array([-1.001]), same_weights=True)
        stats.add_engine(np.array([-1.0, -2.0, -1.0]), np.array([-1.0, -2.0, -1.0]), same_weights=True)
        stats.add_reference(np.array([0.5]))
        stats.add_reference(np.array([0.1, 0.1, 0.1]))
        stats.add_shape(real=10, padded=16)
        stats.add_shape(real=8, padded=8)
        metrics = stats.metrics()
        assert metrics["entropy"] == 2.0
        assert metrics["engine_gap/mean"] == pytest.approx(2.5e-4) and metrics["engine_gap/max"] == pytest.approx(1e-3)
        assert metrics["mismatch/k3"] == pytest.approx((np.exp(1e-3) - 1e-3 - 1) / 4)
        assert metrics["kl"] == pytest.approx(0.2)
        assert metrics["padding"] == pytest.approx(1 - 18 / 24)

    def test_nothing_noted(self):
        metrics = finite(TokenStats(0.2, 0.2).metrics())
        assert metrics["engine_gap/mean"] is None and metrics["entropy"] is None and metrics["kl"] is None

    def test_importance_weights_of_later_updates_are_no_gap(self):
        """Old log-probabilities that are the engine's own say nothing about the engine; drifted ones are weights."""
        stats = TokenStats(0.2, 0.2)
        stats.add(np.ones(4), np.ones(4), np.ones(4))
        stats.add_engine(np.log([1.0, 3.0, 0.25, 1.0]), np.zeros(4), same_weights=False)
        metrics = finite(stats.metrics())
        assert metrics["engine_gap/mean"] is None
        assert metrics["importance/max"] == pytest.approx(3.0)
        assert metrics["importance/outside"] == 0.5
        assert metrics["importance/mean"] == pytest.approx(5.25 / 4)
        assert metrics["importance/effective_share"] == pytest.approx(5.25**2 / (1 + 9 + 1 / 16 + 1) / 4)
