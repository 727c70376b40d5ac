"""From rollouts to padded tensors: mini-batches by group, micro-batches by a token budget.

A mini-batch is some groups, never part of one, in a seeded order. Its rollouts are laid out in rows: each behind its
own copy of the prompt, or, shared, all of a group behind one prompt, which is then computed once for all of them.
Rows are sorted by length and cut into micro-batches of at most `max_tokens` padded positions, so that little is
computed on padding. Masks come from lengths alone: a completion's tokens are trained, EOS included; nothing else is
(rule E3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from octolab.rl.rollouts import Rollout
from octolab.tokens.permutation import key_of, permute


@dataclass(frozen=True)
class MicroBatch:
    """Rollouts of a micro-batch and its tensors.

    rows: rollouts in order. ids_BT: prompt and completions, right-padded with 0. segment_BT: 0 in a prompt, i in the
    i-th completion behind it, -1 in padding. place_BT: position of each token behind its prompt alone. position_N:
    flat places (row * T + t) whose logits predict a completion token. target_N: those tokens. row_N: index of its
    rollout. rollout_N: the engine's log-probabilities. real: positions that are no padding.
    """

    rows: list[int]
    ids_BT: np.ndarray
    segment_BT: np.ndarray
    place_BT: np.ndarray
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


LIKE = 0.9
"""Shared rows go into one micro-batch down to this share of its longest: they are long, and padding would be too."""


def microbatches(
    rollouts: list[Rollout], rows: list[int], max_tokens: int, *, shared: bool = False
) -> list[MicroBatch]:
    """Cut rollouts `rows` into micro-batches of at most `max_tokens` padded positions (one row may exceed it).

    With `shared` the rollouts of a group that stand side by side in `rows` share a row, as far as the budget goes.
    """
    packs = _packs(rollouts, rows, max_tokens) if shared else [[row] for row in rows]
    ordered = sorted(packs, key=lambda pack: (-_length(rollouts, pack), pack[0]))
    batches: list[MicroBatch] = []
    start = 0
    while start < len(ordered):
        longest = _length(rollouts, ordered[start])
        taken = ordered[start : start + max(1, max_tokens // longest)]
        if shared:
            taken = [pack for pack in taken if _length(rollouts, pack) >= LIKE * longest]
        batches.append(_tensors(rollouts, taken))
        start += len(taken)
    return batches


def _packs(rollouts: list[Rollout], rows: list[int], max_tokens: int) -> list[list[int]]:
    packs: list[list[int]] = []
    for row in rows:
        last = packs[-1] if packs else []
        same = bool(last) and rollouts[last[0]].group == rollouts[row].group
        if same and _length(rollouts, [*last, row]) <= max_tokens:
            last.append(row)
        else:
            packs.append([row])
    return packs


def _length(rollouts: list[Rollout], pack: Sequence[int]) -> int:
    """Tokens of a row: the prompt once and every completion."""
    return len(rollouts[pack[0]].prompt_ids) + sum(len(rollouts[row].completion.ids) for row in pack)


def _tensors(rollouts: list[Rollout], packs: Sequence[Sequence[int]]) -> MicroBatch:
    width = max(_length(rollouts, pack) for pack in packs)
    ids_BT = np.zeros((len(packs), width), dtype=np.int64)
    segment_BT = np.full((len(packs), width), -1, dtype=np.int32)
    place_BT = np.zeros((len(packs), width), dtype=np.int64)
    positions = []
    for line, pack in enumerate(packs):
        prompt = rollouts[pack[0]].prompt_ids
        ids_BT[line, : len(prompt)] = prompt
        segment_BT[line, : len(prompt)] = 0
        place_BT[line, : len(prompt)] = np.arange(len(prompt))
        at = len(prompt)
        for number, row in enumerate(pack, start=1):
            ids = rollouts[row].completion.ids
            here = slice(at, at + len(ids))
            ids_BT[line, here], segment_BT[line, here] = ids, number
            place_BT[line, here] = np.arange(len(prompt), len(prompt) + len(ids))
            # A completion's first token is predicted by the prompt's last, each other one by the token before it.
            before = np.arange(at - 1, at + len(ids) - 1)
            before[0] = len(prompt) - 1
            positions.append(line * width + before)
            at += len(ids)
    rows = [row for pack in packs for row in pack]
    done = [rollouts[row].completion for row in rows]
    counts = [len(one.ids) for one in done]
    return MicroBatch(
        rows=rows,
        ids_BT=ids_BT,
        segment_BT=segment_BT,
        place_BT=place_BT,
        position_N=np.concatenate(positions),
        target_N=np.concatenate([np.asarray(one.ids, dtype=np.int64) for one in done]),
        row_N=np.repeat(np.array(rows), counts),
        rollout_N=np.concatenate([np.asarray(one.logprobs, dtype=np.float32) for one in done]),
        real=int((segment_BT >= 0).sum()),
    )
