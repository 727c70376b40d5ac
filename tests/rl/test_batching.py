"""Batches: every completion token once, no padding ever, groups whole, budgets kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from octolab.model.decoder import Decoder
from octolab.model.losses import token_logprobs
from octolab.rl.batching import MicroBatch, microbatches, minibatches
from octolab.rl.rollouts import prompts_of_step

PAIRS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=12)


def made(rollout, pairs):
    """Rollouts with (prompt, completion) lengths; every other one ends with token 0: end of text and padding."""
    return [
        rollout([10 + row] * prompt, [30 + row] * (length - 1) + [0 if row % 2 else 200 + row], group=row // 2,
                sample=row % 2, finish="stop" if row % 2 else "length")
        for row, (prompt, length) in enumerate(pairs)
    ]  # fmt: skip


@settings(max_examples=80)
@given(PAIRS, st.integers(1, 60))
def test_every_completion_token_exactly_once(rollout, pairs, budget):
    """Also the end-of-text tokens, whose id is the padding's: masks come from lengths, not from ids."""
    rollouts = made(rollout, pairs)
    seen: Counter[tuple[int, int]] = Counter()
    for micro in microbatches(rollouts, list(range(len(rollouts))), budget):
        width = micro.ids_BT.shape[1]
        for place, target, row, logprob in zip(
            micro.position_N, micro.target_N, micro.row_N, micro.rollout_N, strict=True
        ):
            line, at = divmod(int(place), width)
            done = rollouts[row]
            assert micro.rows[line] == row
            token = at + 1 - len(done.prompt_ids)
            assert 0 <= token < len(done.completion.ids), "prompt and padding are never trained"
            assert done.completion.ids[token] == target == micro.ids_BT[line, at + 1]
            assert logprob == np.float32(done.completion.logprobs[token])
            seen[int(row), token] += 1
    wanted = {(row, t): 1 for row, done in enumerate(rollouts) for t in range(len(done.completion.ids))}
    assert seen == wanted
    stops = sum(1 for row, t in wanted if rollouts[row].completion.ids[t] == 0)
    assert stops == len(rollouts) // 2, "end of text is trained where a row has one, and only there"


@settings(max_examples=80)
@given(PAIRS, st.integers(1, 60))
def test_budget_and_shape(rollout, pairs, budget):
    rollouts = made(rollout, pairs)
    batches = microbatches(rollouts, list(range(len(rollouts))), budget)
    assert sorted(row for micro in batches for row in micro.rows) == list(range(len(rollouts)))
    for micro in batches:
        assert micro.ids_BT.size <= budget or len(micro.rows) == 1
        lengths = [len(rollouts[row].prompt_ids) + len(rollouts[row].completion.ids) for row in micro.rows]
        assert micro.ids_BT.shape == (len(micro.rows), max(lengths)) and micro.real == sum(lengths)
        for line, row in enumerate(micro.rows):
            whole = [*rollouts[row].prompt_ids, *rollouts[row].completion.ids]
            assert micro.ids_BT[line, : len(whole)].tolist() == whole
            assert not micro.ids_BT[line, len(whole) :].any()


def test_rows_of_like_length_go_together(rollout):
    rollouts = made(rollout, [(1, 11), (1, 1), (1, 11), (1, 1)])
    batches = microbatches(rollouts, [0, 1, 2, 3], 24)
    assert [sorted(micro.rows) for micro in batches] == [[0, 2], [1, 3]]
    assert sum(micro.ids_BT.size - micro.real for micro in batches) == 0


def test_only_the_rows_asked_for(rollout):
    rollouts = made(rollout, [(2, 3)] * 6)
    assert sorted(row for micro in microbatches(rollouts, [1, 4], 100) for row in micro.rows) == [1, 4]


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99), st.integers(0, 99))
def test_groups_are_never_split(per_update, updates, seed, step):
    groups = per_update * updates
    plan = minibatches(groups, updates, seed, step)
    assert [len(part) for part in plan] == [per_update] * updates
    assert sorted(group for part in plan for group in part) == list(range(groups))
    assert plan == minibatches(groups, updates, seed, step)


def test_order_of_groups_changes_with_step_and_seed():
    assert len({str(minibatches(16, 2, seed, step)) for seed in (0, 1) for step in range(5)}) == 10


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 9))
def test_an_epoch_takes_every_prompt_once(count, per_step, seed):
    """Over the steps, also where a step spans the border of two epochs."""
    steps = 3 * count
    taken = [index for step in range(steps) for index in prompts_of_step(count, per_step, step, seed)]
    for epoch in range(len(taken) // count):
        assert sorted(taken[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_have_orders_of_their_own():
    orders = {tuple(prompts_of_step(20, 20, epoch, seed)) for epoch in range(3) for seed in (0, 1)}
    assert len(orders) == 6


@pytest.fixture(scope="module")
def decoder(config):
    return Decoder(config).reset(3)


def logps(decoder: Decoder, micro: MicroBatch, ids_BT: np.ndarray) -> torch.Tensor:
    hidden = decoder.hidden(torch.from_numpy(ids_BT)).flatten(0, 1)[torch.from_numpy(micro.position_N)]
    return token_logprobs(hidden, decoder.head.weight, torch.from_numpy(micro.target_N), 1.0)[0].detach()


def test_padded_tokens_change_nothing(rollout, decoder):
    rollouts = made(rollout, [(3, 9), (5, 1), (1, 4), (2, 2)])
    (micro,) = microbatches(rollouts, [0, 1, 2, 3], 1000)
    padding = np.ones_like(micro.ids_BT, dtype=bool)
    for line, row in enumerate(micro.rows):
        padding[line, : len(rollouts[row].prompt_ids) + len(rollouts[row].completion.ids)] = False
    assert padding.sum() > 10
    before = logps(decoder, micro, micro.ids_BT)
    assert torch.equal(logps(decoder, micro, np.where(padding, 123, micro.ids_BT)), before)
    real = np.where(padding, micro.ids_BT, (micro.ids_BT + 1) % 250)
    assert not torch.equal(logps(decoder, micro, real), before), "real tokens do count"


def test_logps_do_not_depend_on_the_batch(rollout, decoder):
    """Every token has the log-probability that it has in its row alone, whatever rows lie beside it."""
    rollouts = made(rollout, [(3, 9), (5, 1), (1, 4), (2, 7), (6, 6)])
    for budget in (1, 20, 1000):
        for micro in microbatches(rollouts, list(range(5)), budget):
            together = logps(decoder, micro, micro.ids_BT)
            for row in micro.rows:
                (alone,) = microbatches(rollouts, [row], 1)
                mine = together[torch.from_numpy(micro.row_N == row)]
                torch.testing.assert_close(mine, logps(decoder, alone, alone.ids_BT), atol=1e-5, rtol=0)


def logps_shared(decoder: Decoder, micro: MicroBatch) -> torch.Tensor:
    ids, segment, place = (torch.from_numpy(a) for a in (micro.ids_BT, micro.segment_BT, micro.place_BT))
    hidden = decoder.hidden_shared(ids, segment, place).flatten(0, 1)[torch.from_numpy(micro.position_N)]
    return token_logprobs(hidden, decoder.head.weight, torch.from_numpy(micro.target_N), 1.0)[0]


GROUPS = st.lists(
    st.tuples(st.integers(1, 30), st.lists(st.integers(1, 34), min_size=1, max_size=6)), min_size=1, max_size=4
)


def grouped(rollout, groups):
    """Rollouts of groups (prompt length, completion lengths), every token another id."""
    ids = iter(range(10**6))
    made = []
    for number, (prompt, lengths) in enumerate(groups):
        head = [next(ids) % 250 for _ in range(prompt)]
        for sample, length in enumerate(lengths):
            made.append(rollout(head, [next(ids) % 250 for _ in range(length)], group=number, sample=sample))
    return made


@settings(max_examples=40, deadline=None)
@given(GROUPS, st.sampled_from([1, 100, 4000]))
def test_a_shared_prompt_changes_no_logp_and_no_gradient(rollout, config, groups, budget):
    """Every completion reads as if it stood alone behind the prompt, and what flows back is the same."""
    decoder = Decoder(config).reset(3)
    rollouts = grouped(rollout, groups)
    rows = list(range(len(rollouts)))
    slopes, values = [], []
    for shared in (False, True):
        decoder.zero_grad()
        found = {}
        for micro in microbatches(rollouts, rows, budget, shared=shared):
            if shared:
                logp_N = logps_shared(decoder, micro)
            else:
                hidden = decoder.hidden(torch.from_numpy(micro.ids_BT)).flatten(0, 1)
                hidden = hidden[torch.from_numpy(micro.position_N)]
                logp_N = token_logprobs(hidden, decoder.head.weight, torch.from_numpy(micro.target_N), 1.0)[0]
            weight_N = torch.from_numpy(1.0 + micro.row_N % 3)
            (weight_N * logp_N).sum().backward()
            for row in micro.rows:
                found[row] = logp_N.detach()[torch.from_numpy(micro.row_N == row)]
        values.append([found[row] for row in rows])
        slopes.append([weight.grad.clone() for weight in decoder.parameters()])
    for alone, together in zip(*values, strict=True):
        torch.testing.assert_close(together, alone, atol=2e-5, rtol=0)
    for alone, together in zip(*slopes, strict=True):
        torch.testing.assert_close(together, alone, atol=1e-3 * float(alone.abs().max()) + 1e-5, rtol=0)


def test_sharing_computes_a_prompt_once_a_group(rollout):
    rollouts = grouped(rollout, [(40, [10] * 4), (20, [10] * 4)])
    alone = microbatches(rollouts, list(range(8)), 10_000)
    together = microbatches(rollouts, list(range(8)), 10_000, shared=True)
    assert sum(micro.real for micro in alone) == 4 * (50 + 30)
    assert sum(micro.real for micro in together) == 80 + 60
    assert sorted(row for micro in together for row in micro.rows) == list(range(8))


@settings(max_examples=60)
@given(GROUPS, st.integers(1, 400))
def test_shared_rows_keep_the_budget_and_hold_little_padding(rollout, groups, budget):
    rollouts = grouped(rollout, groups)
    batches = microbatches(rollouts, list(range(len(rollouts))), budget, shared=True)
    assert sorted(row for micro in batches for row in micro.rows) == list(range(len(rollouts)))
    for micro in batches:
        assert micro.ids_BT.size <= budget or len(micro.ids_BT) == 1
        assert micro.real >= 0.9 * micro.ids_BT.size - len(micro.ids_BT)
