"""The mixture: which source and which of its rows stands at each position of training.

In go sources (rows and tokens of their shards), the share of training tokens each should have, and a seed.
Out comes an order that is a pure function of (seed, position): any worker computes any range of it, nothing
is stored, and a longer training begins with the order of a shorter one.

Interleaving is done by halving. Sources are joined two and two into a binary tree, lightest first (Huffman
1952). A node that has been visited m times has sent round(m * p) visits to its left child, p being the
child's part of the node's weight. So position -> (source, j-th row of it) is one walk down the tree in
integer arithmetic, and the count of every source s after n positions is n * w_s within

    0.5 * sum over the nodes on its path of (w_s / weight of the node)  <  1.68 rows for any number of sources,

since weights along a path grow at least like Fibonacci numbers; it is below 1 for up to three sources.

Why not the textbook rules of apportionment: largest remainder per prefix is not house-monotone (the Alabama
paradox), so a source would have to give rows back as training goes on. Webster's rule, by which row j of
source s falls due at (j + 0.5) / w_s, is monotone, but with many small sources it is off by up to
0.5 + w_s * S / 2 rows and brings equally light sources in one burst: with one source of 0.7 and thirty of 0.01, the
first 35 rows are all of the one and the next 30 are one of each other.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from octolab.errors import UserError
from octolab.tokens.permutation import key_of, permute

SUM_TOLERANCE = 1e-6
MAX_EPOCHS = 4.0
"""Up to four epochs, repeated text is worth nearly as much as new text (Muennighoff et al. 2023)."""
SHARE_BITS = 31
"""Shares of a node are multiples of 2^-31, so that positions below 2^32 multiply within 64 bits."""


@dataclass(frozen=True)
class Source:
    """What the mixture needs to know of one source's shards: name, rows, training tokens in them."""

    name: str
    rows: int
    tokens: int


@dataclass(frozen=True)
class _Node:
    """A leaf (`source` >= 0) or a join of two nodes, the left getting share / 2^SHARE_BITS of its visits."""

    weight: float
    source: int = -1
    share: int = 0
    left: _Node | None = None
    right: _Node | None = None


class Mixture:
    """The order of training rows.

    `weights` are shares of training tokens by source name and must sum to 1. A source whose rows are less
    full gets more rows, so that token shares are met. Neither the order of `sources` nor `total_rows`
    changes which row stands where.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        weights: Mapping[str, float],
        total_rows: int,
        seed: int,
        max_epochs: float = MAX_EPOCHS,
    ) -> None:
        """Raises UserError if weights do not fit the sources, do not sum to 1, or ask more than `max_epochs`
        passes over a source."""
        assert total_rows >= 1 and len({s.name for s in sources}) == len(sources)
        assert total_rows < 1 << (SHARE_BITS + 1), "positions must stay below 2^32"
        self.sources = tuple(sources)
        self.total_rows = total_rows
        self.seed = seed
        self.weights = _checked_weights(self.sources, weights)
        tokens_per_row_S = np.array([s.tokens / s.rows for s in self.sources])
        rows_S = np.array([self.weights[s.name] for s in self.sources]) / tokens_per_row_S
        self._row_weights_S = rows_S / math.fsum(rows_S)
        self._tokens_per_row_S = tokens_per_row_S
        self._root = self._build_tree()
        self.counts: tuple[int, ...] = self._count(total_rows)
        self._check_epochs(max_epochs)

    def rows(self, start: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions [start, start + n): index into `sources` [n] int64 and row of that source [n] int64.

        Every epoch of a source visits each of its rows once, in an order of its own.
        """
        assert start >= 0 and n >= 0 and start + n <= self.total_rows, (start, n, self.total_rows)
        source_N, j_N = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        self._descend(self._root, np.arange(start, start + n, dtype=np.int64), np.arange(n), source_N, j_N)
        row_N = np.empty(n, dtype=np.int64)
        for s in np.unique(source_N):
            source = self.sources[s]
            epoch_N = np.where(source_N == s, j_N // source.rows, -1)
            for epoch in np.unique(epoch_N[epoch_N >= 0]):
                here = epoch_N == epoch
                row_N[here] = permute(j_N[here] % source.rows, source.rows, key_of(self.seed, source.name, int(epoch)))
        return source_N, row_N

    def plan(self) -> dict[str, dict[str, Any]]:
        """Per source over all `total_rows`: rows (exact), tokens (expected), epochs, share (of tokens)."""
        tokens_S = np.array(self.counts) * self._tokens_per_row_S
        return {
            source.name: {
                "rows": count,
                "tokens": round(float(tokens)),
                "epochs": count / source.rows,
                "share": float(tokens / tokens_S.sum()),
            }
            for source, count, tokens in zip(self.sources, self.counts, tokens_S, strict=True)
        }

    def lines(self) -> list[str]:
        """The plan for people, one line a source, that says how often each is read."""
        width = max(len(source.name) for source in self.sources)
        lines = []
        for name, p in self.plan().items():
            epochs = p["epochs"]
            often = f"{epochs:.2f} epochs: every row is read about {epochs:.1f} times"
            if epochs <= 1:
                often = f"{epochs:.2f} epochs: no row is read twice"
            lines.append(
                f"{name:<{width}}  {p['share']:6.1%}  {p['tokens']:>15,} tokens  {p['rows']:>11,} rows  {often}"
            )
        return lines

    def _build_tree(self) -> _Node:
        leaves = [
            (float(w), source.name, _Node(float(w), source=s))
            for s, (w, source) in enumerate(zip(self._row_weights_S, self.sources, strict=True))
            if w > 0
        ]
        heapq.heapify(leaves)  # ties go by name, so the tree does not depend on the order of the sources
        while len(leaves) > 1:
            weight_a, name_a, a = heapq.heappop(leaves)
            weight_b, name_b, b = heapq.heappop(leaves)
            weight = weight_a + weight_b
            share = round(weight_a / weight * (1 << SHARE_BITS))
            heapq.heappush(leaves, (weight, min(name_a, name_b), _Node(weight, share=share, left=a, right=b)))
        return leaves[0][2]

    def _descend(
        self, node: _Node, visit_K: np.ndarray, position_K: np.ndarray, source_N: np.ndarray, j_N: np.ndarray
    ) -> None:
        """Send the visits `visit_K` (0-based, of this node) down and write the leaves at `position_K`."""
        if node.left is None or node.right is None:
            source_N[position_K], j_N[position_K] = node.source, visit_K
            return
        before_K = _sent_left(visit_K, node.share)
        left_K = _sent_left(visit_K + 1, node.share) > before_K
        self._descend(node.left, before_K[left_K], position_K[left_K], source_N, j_N)
        self._descend(node.right, (visit_K - before_K)[~left_K], position_K[~left_K], source_N, j_N)

    def _count(self, n: int) -> tuple[int, ...]:
        """Rows of every source among the first `n`."""
        counts = [0] * len(self.sources)
        stack = [(self._root, n)]
        while stack:
            node, visits = stack.pop()
            if node.left is None or node.right is None:
                counts[node.source] = visits
                continue
            left = int(_sent_left(np.array([visits], dtype=np.int64), node.share)[0])
            stack += [(node.left, left), (node.right, visits - left)]
        return tuple(counts)

    def _check_epochs(self, max_epochs: float) -> None:
        for s, (source, count) in enumerate(zip(self.sources, self.counts, strict=True)):
            epochs = count / source.rows
            if epochs <= max_epochs:
                continue
            weight, factor = self.weights[source.name], max_epochs / epochs
            lower = "" if weight == 1 else f"lower its weight to about {_round_down(weight * factor)}, "
            raise UserError(
                f"source {source.name!r} is smaller than its budget: its share {weight:g} needs "
                f"{round(count * self._tokens_per_row_S[s]):,} tokens and it has {source.tokens:,}, which is "
                f"{epochs:.2f} epochs where at most {max_epochs:g} are allowed: {lower}train at most "
                f"{_round_down(factor)} times the steps, or raise max_epochs to {math.ceil(epochs * 10) / 10:g}"
            )


def _sent_left(visits_K: np.ndarray, share: int) -> np.ndarray:
    """How many of the first `visits_K` visits went left: visits * share rounded, half up."""
    return (visits_K * np.int64(share) + np.int64(1 << (SHARE_BITS - 1))) >> np.int64(SHARE_BITS)


def _round_down(value: float) -> str:
    """`value` with two significant digits, never above it."""
    if value <= 0:
        return "0"
    digits = 1 - math.floor(math.log10(value))
    return f"{math.floor(value * 10**digits) / 10**digits:g}"


def _checked_weights(sources: Sequence[Source], weights: Mapping[str, float]) -> dict[str, float]:
    known = {source.name for source in sources}
    for name in [*weights, *known]:
        if name not in known:
            raise UserError(f"mixture names source {name!r}, which does not exist: use one of {sorted(known)}")
        if name not in weights:
            raise UserError(f"mixture gives source {name!r} no weight: add `{name}: <share of tokens>`")
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"mixture weight {weight} of source {name!r} is no share: give a number from 0 to 1")
    for source in sources:
        if source.rows < 1 or source.tokens < 1:
            raise UserError(f"source {source.name!r} has no rows to train on: give it documents or take it out")
    total = math.fsum(weights.values())
    if abs(total - 1) > SUM_TOLERANCE:
        fix = "give at least one a weight above 0"
        if total > 0:
            fix = "write " + ", ".join(f"{name}: {_fixed(w / total)}" for name, w in weights.items())
        raise UserError(f"mixture weights sum to {total:g} and not to 1: {fix}")
    return {name: weight / total for name, weight in weights.items()}


def _fixed(weight: float) -> str:
    return f"{weight:.7f}".rstrip("0").rstrip(".")
