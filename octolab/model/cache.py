"""Static key/value memory for decoding.

One tensor for keys and one for values, [layers, rows, K, positions, D], allocated once: what a head reads in a
step is contiguous, since reading it is the largest part of a step. A row is one running completion.
`fill` copies a prefilled prompt into rows, `write` adds one token to each of the first R rows and returns views of
what attention reads, `move` copies a row so that running rows stay side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from octolab.model.config import DecoderConfig


class KVCache:
    """Keys and values of up to `rows` completions of up to `positions` tokens, prompt included."""

    def __init__(
        self, config: DecoderConfig, rows: int, positions: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (config.layers, rows, config.kv_heads, positions, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.rows, self.positions = rows, positions
        self.columns = torch.arange(positions, device=device)
        self._head_starts = (torch.arange(rows * config.kv_heads, device=device) * positions).view(rows, -1)

    def fill(self, rows: list[int], kept: list[tuple[Tensor, Tensor]], source: int, length: int) -> None:
        """Copy the first `length` positions of prefill row `source`, [B, T, K, D], into each of `rows`."""
        for layer, (keys, values) in enumerate(kept):
            self.keys[layer, rows, :, :length] = keys[source, :length].transpose(0, 1).to(self.keys.dtype)
            self.values[layer, rows, :, :length] = values[source, :length].transpose(0, 1).to(self.values.dtype)

    def slots(self, positions_R: Tensor) -> Tensor:
        """Flat places [R * K] of one position in each of the first R rows."""
        return (self._head_starts[: positions_R.shape[0]] + positions_R[:, None]).flatten()

    def write(self, layer: int, slots: Tensor, k: Tensor, v: Tensor, rows: int, span: int) -> tuple[Tensor, Tensor]:
        """Store k, v [R, K, D] at flat places `slots`; return keys and values [R, K, span, D] as views."""
        keys, values = self.keys[layer], self.values[layer]
        keys.view(-1, keys.shape[-1]).index_copy_(0, slots, k.to(keys.dtype).flatten(0, 1))
        values.view(-1, values.shape[-1]).index_copy_(0, slots, v.to(values.dtype).flatten(0, 1))
        return keys[:rows, :, :span], values[:rows, :, :span]

    def move(self, sources: list[int], targets: list[int], length: int) -> None:
        """Copy the first `length` positions of rows `sources` over rows `targets`."""
        for source, target in zip(sources, targets, strict=True):
            self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
            self.values[:, target, :, :length] = self.values[:, source, :, :length]
