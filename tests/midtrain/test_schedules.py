"""Schedules: pure functions of tokens seen, exact at their ends."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.midtrain.schedules import learning_rate
from octolab.recipe.stages import Schedule

TOKENS = 100


def rates(schedule: Schedule, steps: int) -> list[float]:
    """Rate of every step."""
    return [learning_rate(schedule, step * TOKENS, steps * TOKENS, TOKENS) for step in range(steps)]


def test_constant():
    assert rates(Schedule(constant=2e-5), 50) == [2e-5] * 50


def test_cosine_ends():
    """Peak first, exactly the floor last, the middle halfway between (paper, Table 4: to one tenth)."""
    all_rates = rates(Schedule(cosine=2e-5), 101)
    assert all_rates[0] == 2e-5
    assert all_rates[-1] == 2e-5 * 0.1
    assert all_rates[50] == pytest.approx((2e-5 + 2e-6) / 2)
    assert all_rates[25] == pytest.approx(2e-6 + 1.8e-5 * 0.5 * (1 + math.cos(math.pi / 4)))


def test_floor_of_zero_and_one():
    assert rates(Schedule(cosine=1.0, floor=0.0), 11)[-1] == 0.0
    assert rates(Schedule(cosine=1.0, floor=1.0), 11) == [1.0] * 11


def test_warmup():
    """A straight line whose first step is one part and whose last is the whole peak."""
    assert rates(Schedule(constant=1.0, warmup_steps=4), 7) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    cosine = rates(Schedule(cosine=1.0, warmup_steps=4), 24)
    assert cosine[:5] == [0.25, 0.5, 0.75, 1.0, 1.0] and cosine[5] < 1.0
    assert cosine[-1] == 0.1


@given(st.floats(1e-7, 1e-2), st.floats(0, 1), st.integers(0, 10), st.integers(1, 60), st.integers(1, 9999))
def test_rises_then_falls_and_stays_in_bounds(peak, floor, warmup, extra, tokens):
    schedule = Schedule(cosine=peak, floor=floor, warmup_steps=warmup)
    steps = warmup + 1 + extra
    found = [learning_rate(schedule, step * tokens, steps * tokens, tokens) for step in range(steps)]
    assert all(a < b for a, b in pairwise(found[:warmup]))
    after = found[warmup:]
    assert all(a >= b for a, b in pairwise(after))
    assert after[0] == pytest.approx(peak) and after[-1] == pytest.approx(peak * floor, abs=1e-18)
    assert max(found) <= peak * (1 + 1e-12)
    if floor < 0.99:
        assert len(set(after)) > 1


@given(st.integers(1, 30), st.integers(0, 29))
def test_nothing_is_remembered(steps, step):
    """A resumed run asks for one step only and gets what the whole run had there."""
    schedule = Schedule(cosine=1e-3, warmup_steps=3)
    at = min(step, steps - 1)
    assert learning_rate(schedule, at * TOKENS, steps * TOKENS, TOKENS) == rates(schedule, steps)[at]


def test_a_longer_constant_run_begins_like_the_shorter():
    schedule = Schedule(constant=1e-3, warmup_steps=5)
    assert rates(schedule, 40)[:20] == rates(schedule, 20)


def test_as_many_warmup_steps_as_steps():
    assert rates(Schedule(cosine=1.0, warmup_steps=4), 4) == [0.25, 0.5, 0.75, 1.0]
    assert rates(Schedule(cosine=1.0), 1) == [0.1], "one step is the last step"
