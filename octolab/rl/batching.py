"""From rollouts to padded tensors: mini-batches by group, micro-batches by a token budget.

A mini-batch is some groups, never part of one, in a seeded order. Its rows are sorted by length and cut into
micro-batches of at most `max_tokens` padded positions, so that little is computed on padding. Masks come from
lengths alone: a completion's tokens are trained, EOS included; nothing else is (rule E3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from octolab.rl.rollouts import Rollout
from octolab.tokens.permutation import key_of, permute


@dataclass(frozen=True)
class MicroBatch:
    """Rows of a micro-batch and its tensors.

    ids_BT: prompt and completion, right-padded with 0. position_N: flat places (row * T + t) whose logits
    predict a completion token. target_N: those tokens. row_N: index of its rollout. rollout_N: the engine's
    log-probabilities. real: positions that are no padding.
    """

    rows: list[int]
    ids_BT: np.ndarray
    position_N: np.ndarray
    target_N: np.ndarray
    row_N: np.ndarray
    rollout_N: np.ndarray
    real: int


def minibatches(groups: int, updates: int, seed: int, step: int) -> list[list[int]]:
    """Groups of each update, in seeded order."""
    order = permute(np.arange(groups), groups, key_of("minibatches", seed, step)).tolist()
    size = groups // updates
    return [order[start : start + size] for start in range(0, groups, size)]


def microbatches(rollouts: list[Rollout], rows: list[int], max_tokens: int) -> list[MicroBatch]:
    """Cut `rows` into micro-batches of at most `max_tokens` padded positions (one row may exceed it)."""

    def length(row: int) -> int:
        return len(rollouts[row].prompt_ids) + len(rollouts[row].completion.ids)

    ordered = sorted(rows, key=lambda row: (-length(row), row))
    batches: list[MicroBatch] = []
    start = 0
    while start < len(ordered):
        size = max(1, max_tokens // length(ordered[start]))
        batches.append(_tensors(rollouts, ordered[start : start + size]))
        start += size
    return batches


def _tensors(rollouts: list[Rollout], rows: list[int]) -> MicroBatch:
    prompts = [rollouts[row].prompt_ids for row in rows]
    done = [rollouts[row].completion for row in rows]
    width = max(len(prompt) + len(one.ids) for prompt, one in zip(prompts, done, strict=True))
    ids_BT = np.zeros((len(rows), width), dtype=np.int64)
    positions, counts = [], []
    for index, (prompt, one) in enumerate(zip(prompts, done, strict=True)):
        ids_BT[index, : len(prompt)] = prompt
        ids_BT[index, len(prompt) : len(prompt) + len(one.ids)] = one.ids
        first = index * width + len(prompt) - 1
        positions.append(np.arange(first, first + len(one.ids)))
        counts.append(len(one.ids))
    return MicroBatch(
        rows=rows,
        ids_BT=ids_BT,
        position_N=np.concatenate(positions),
        target_N=np.concatenate([np.asarray(one.ids, dtype=np.int64) for one in done]),
        row_N=np.repeat(np.array(rows), counts),
        rollout_N=np.concatenate([np.asarray(one.logprobs, dtype=np.float32) for one in done]),
        real=sum(counts) + sum(len(prompt) for prompt in prompts),
    )
