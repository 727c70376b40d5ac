"""Advantages: exact zeros where nothing is taught, ddof 1, unscorable samples outside the statistics."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.rl.advantage import group_advantages

NAN = math.nan
KINDS = ["centred", "std"]
REWARDS = st.sampled_from([0.0, 1.0, 0.5, -0.25, NAN]) | st.floats(-2, 2)
GROUPS = st.integers(2, 6).flatmap(
    lambda n: st.lists(st.lists(REWARDS, min_size=n, max_size=n), min_size=1, max_size=4)
)


def slow_advantages(rewards: list[float], kind: str) -> list[float]:
    """One group by the rules E4 and E5, in plain Python."""
    known = [value for value in rewards if not math.isnan(value)]
    if len(known) < 2 or max(known) - min(known) <= 1e-6:
        return [0.0] * len(rewards)
    middle = sum(known) / len(known)
    scale = 1.0
    if kind == "std":
        scale = math.sqrt(sum((value - middle) ** 2 for value in known) / (len(known) - 1)) + 1e-6
    return [0.0 if math.isnan(value) else (value - middle) / scale for value in rewards]


def test_golden_values(test_data):
    file = test_data.parent / "facts" / "rl_golden.json"
    if not file.exists():
        pytest.skip(f"golden tensors are absent: {file}")
    golden = json.loads(file.read_text())
    rewards = np.array(golden["rewards"]).reshape(2, 4)
    np.testing.assert_allclose(group_advantages(rewards, "std").ravel(), golden["adv_std"], atol=1e-6, rtol=0)
    centred = [0.5, -0.5, -0.5, 0.5, 0.75, -0.25, -0.25, -0.25]
    np.testing.assert_allclose(group_advantages(rewards, "centred").ravel(), centred, atol=1e-6, rtol=0)


def test_known_values():
    """[1, 0, 0, 0]: mean 1/4; deviation 1/2 with ddof 1 (0.433 with ddof 0, which would give 1.732)."""
    assert group_advantages(np.array([[1.0, 0, 0, 0]]), "centred").tolist() == [[0.75, -0.25, -0.25, -0.25]]
    std = group_advantages(np.array([[1.0, 0, 0, 0]]), "std")[0]
    np.testing.assert_allclose(std, [0.75 / (0.5 + 1e-6), *[-0.25 / (0.5 + 1e-6)] * 3], rtol=1e-12)


@given(GROUPS, st.sampled_from(KINDS))
def test_equals_the_slow_reference(groups, kind):
    slow = [slow_advantages(group, kind) for group in groups]
    np.testing.assert_allclose(group_advantages(np.array(groups), kind), slow, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_rewards_give_exactly_zero(kind):
    """16 rewards of 0.7 have a mean that is off by a rounding; divided by a tiny deviation it would count."""
    for dtype in (np.float32, np.float64):
        equal = np.full((1, 16), 0.7, dtype=dtype)
        assert not group_advantages(equal, kind).any()
    shaped = [0.7, 0.1 + 0.6, 1.0 - 0.3, 0.35 * 2, np.float64(np.float32(0.7))]
    assert len(set(shaped)) > 1, "these are the same reward, computed in different ways"
    assert not group_advantages(np.array([shaped]), kind).any()
    assert not group_advantages(np.array([[0.0, 0, 0], [1, 1, 1]]), kind).any()


@pytest.mark.parametrize("kind", KINDS)
def test_differences_above_rounding_count(kind):
    assert group_advantages(np.array([[0.7, 0.7, 0.70001]]), kind).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_sample_has_no_advantage(kind):
    """Mean 0 and deviation 1 for a lone sample, as some code bases have it, would give a lone reward 1 A = 1."""
    assert group_advantages(np.array([[1.0], [0.0], [NAN]]), kind).tolist() == [[0.0], [0.0], [0.0]]
    assert group_advantages(np.array([[1.0, NAN, NAN]]), kind).tolist() == [[0.0, 0.0, 0.0]]


def test_unscorable_samples_stay_outside():
    rewards = np.array([[1.0, NAN, 0.0, NAN, 0.0, 1.0], [NAN] * 6])
    centred = group_advantages(rewards, "centred")
    assert centred.tolist() == [[0.5, 0, -0.5, 0, -0.5, 0.5], [0] * 6]
    alone = group_advantages(np.array([[1.0, 0.0, 0.0, 1.0]]), "std")[0]
    assert group_advantages(rewards, "std")[0][[0, 2, 4, 5]].tolist() == alone.tolist()
    assert rewards[0, 1] != 0, "the input is not written to"


@given(GROUPS, st.sampled_from(KINDS))
def test_advantages_of_a_group_sum_to_zero(groups, kind):
    advantages = group_advantages(np.array(groups), kind)
    assert np.isfinite(advantages).all()
    scale = np.maximum(np.abs(advantages).max(1), 1.0)
    assert (np.abs(advantages.sum(1)) <= 1e-7 * scale).all()


@given(GROUPS, st.floats(-3, 3), st.sampled_from(KINDS))
def test_a_shift_of_all_rewards_changes_nothing(groups, shift, kind):
    rewards = np.round(np.array(groups), 3)  # off the border of what counts as equal
    np.testing.assert_allclose(
        group_advantages(rewards + shift, kind), group_advantages(rewards, kind), atol=1e-7, rtol=1e-7
    )


@given(GROUPS, st.randoms(), st.sampled_from(KINDS))
def test_samples_and_groups_may_stand_in_any_order(groups, random, kind):
    rewards = np.array(groups)
    rows, columns = list(range(rewards.shape[0])), list(range(rewards.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    moved = group_advantages(rewards[rows][:, columns], kind)
    np.testing.assert_allclose(moved, group_advantages(rewards, kind)[rows][:, columns], atol=1e-7, rtol=1e-7)


def test_scale_leaves_std_alone_and_scales_centred():
    rewards = np.array([[1.0, 0, 0.5, 0.25]])
    np.testing.assert_allclose(group_advantages(10 * rewards, "std"), group_advantages(rewards, "std"), rtol=1e-5)
    np.testing.assert_allclose(group_advantages(10 * rewards, "centred"), 10 * group_advantages(rewards, "centred"))
