"""The cap on completion length rises exactly when the schedule says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.recipe.load import validate
from octolab.recipe.stages import LengthStep, RLStage
from octolab.rl.length_schedule import final_max_tokens, max_tokens_at

PAPER = [(0, 2048), (100, 4096), (160, 8192)]


def caps(pairs):
    return [LengthStep(step=step, max_tokens=tokens) for step, tokens in pairs]


@pytest.mark.parametrize(
    ("step", "cap"), [(0, 2048), (99, 2048), (100, 4096), (159, 4096), (160, 8192), (10_000, 8192)]
)
def test_the_papers_schedule(step, cap):
    assert max_tokens_at(caps(PAPER), step) == cap
    assert final_max_tokens(caps(PAPER)) == 8192


def test_one_number_is_a_schedule_too():
    assert max_tokens_at(512, 0) == max_tokens_at(512, 999) == final_max_tokens(512) == 512


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9999)), max_size=4, unique_by=lambda pair: pair[0]),
    st.integers(1, 9999),
    st.integers(0, 60),
)
def test_the_last_entry_that_has_begun_holds(later, first, step):
    pairs = [(0, first), *sorted(later)]
    begun = [tokens for start, tokens in pairs if start <= step]
    assert max_tokens_at(caps(pairs), step) == begun[-1]
    assert final_max_tokens(caps(pairs)) == max(tokens for _, tokens in pairs)


@pytest.mark.parametrize("pairs", [[], [(1, 8)], [(0, 8), (5, 16), (5, 32)], [(0, 8), (9, 16), (5, 32)]])
def test_schedules_that_are_refused(pairs):
    schedule = [{"step": step, "max_tokens": tokens} for step, tokens in pairs]
    stages = {"rl": {"kind": "rl", "from": "m", "prompts": "gsm8k_train", "steps": 1, "max_tokens": schedule}}
    models = {"m": {"hub": "a/b"}}
    with pytest.raises(UserError, match=r"stages\.rl.*max_tokens"):
        validate({"name": "x", "models": models, "stages": stages}, "x.yaml")


def test_read_from_a_recipe():
    stage = RLStage.model_validate(
        {"from": "m", "prompts": "p", "steps": 1, "max_tokens": [{"step": s, "max_tokens": t} for s, t in PAPER]}
    )
    assert max_tokens_at(stage.max_tokens, 100) == 4096
