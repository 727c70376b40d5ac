"""Attention inside documents on a CPU, computed only where documents reach.

A packed row holds many documents, and a mask that keeps them apart makes most of a T x T attention useless. Here
queries go in chunks of `CHUNK` positions, and a chunk looks at keys from the start of the earliest document that
any of its queries belongs to: work grows with the length of documents, not of rows (docs/performance.md has what
that saves). Each chunk is one call of PyTorch's fused CPU kernel, forward and backward.

A row may also hold several completions of one prompt (`shared_windows`): each looks at the prompt and at itself, so
that the prompt is computed once for all of them. Its windows read the prompt's keys and those of the completions
that the chunk touches.

Shapes: B rows, H heads (keys and values already repeated for grouped queries), T positions, D head_dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 64
"""Queries in a call; shorter chunks compute less outside documents and call more often."""

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Window:
    """Queries start .. end - 1 look at keys 0 .. prefix - 1 and low .. end - 1 where the additive mask
    [B, 1, queries, keys] is 0."""

    start: int
    end: int
    low: int
    mask: Tensor
    prefix: int = 0

    def keys(self, x_BHTD: Tensor) -> Tensor:
        """What the window reads of keys or values."""
        near = x_BHTD[:, :, self.low : self.end]
        return torch.cat((x_BHTD[:, :, : self.prefix], near), 2) if self.prefix else near

    def add(self, slope_BHTD: Tensor, found: Tensor) -> None:
        """Add a gradient of `keys` where it belongs."""
        if self.prefix:
            slope_BHTD[:, :, : self.prefix] += found[:, :, : self.prefix]
        slope_BHTD[:, :, self.low : self.end] += found[:, :, self.prefix :]


def document_windows(documents_BT: Tensor) -> list[Window]:
    """Windows of a packed batch; document -1 is padding, which may look at anything."""
    length = documents_BT.shape[1]
    index_T = torch.arange(length)
    first_BT = _first(documents_BT)
    lows = first_BT[:, ::CHUNK].min(0).values.tolist()
    windows = []
    for low, start in zip(lows, range(0, length, CHUNK), strict=True):
        end = min(start + CHUNK, length)
        allowed = documents_BT[:, start:end, None] == documents_BT[:, None, low:end]
        allowed &= index_T[start:end, None] >= index_T[None, low:end]
        windows.append(Window(start, end, low, _additive(allowed)))
    return windows


def shared_windows(segment_BT: Tensor) -> list[Window]:
    """Windows of rows that hold a prompt (segment 0) and completions of it (1, 2, ...); -1 is padding.

    Prompts of other lengths may lie side by side: the prefix is as long as the longest of them.
    """
    length = segment_BT.shape[1]
    index_T = torch.arange(length)
    prompt = int((segment_BT == 0).sum(1).max())
    first_BT = _first(segment_BT)
    windows = []
    for start in range(0, length, CHUNK):
        end = min(start + CHUNK, length)
        prefix, low = (prompt, max(prompt, int(first_BT[:, start].min()))) if start >= prompt else (0, 0)
        key_T = torch.cat((index_T[:prefix], index_T[low:end]))
        own, seen = segment_BT[:, start:end, None], segment_BT[:, None, key_T]
        allowed = ((own == seen) | ((seen == 0) & (own > 0))) & (index_T[start:end, None] >= key_T)
        windows.append(Window(start, end, low, _additive(allowed), prefix))
    return windows


def _first(part_BT: Tensor) -> Tensor:
    """Where the part that each position belongs to begins; a position of padding (below 0) is a part of its own."""
    begins_BT = torch.ones_like(part_BT, dtype=torch.bool)
    begins_BT[:, 1:] = (part_BT[:, 1:] != part_BT[:, :-1]) | (part_BT[:, 1:] < 0)
    return torch.where(begins_BT, torch.arange(part_BT.shape[1]), 0).cummax(1).values


def _additive(allowed_BQK: Tensor) -> Tensor:
    return torch.zeros(allowed_BQK.shape).masked_fill_(~allowed_BQK, float("-inf"))[:, None]


def windowed_attention(q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, windows: list[Window]) -> Tensor:
    """Softmax attention [B, H, T, D] (a view of memory laid out [B, T, H, D])."""
    return _Windowed.apply(q_BHTD, k_BHTD, v_BHTD, windows)


class _Windowed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, windows: list[Window]) -> Tensor:
        batch, heads, length, features = q.shape
        out = q.new_empty(batch, length, heads, features).transpose(1, 2)
        sums = []
        for window in windows:
            queries = slice(window.start, window.end)
            found, logsumexp = _forward(q[:, :, queries], window.keys(k), window.keys(v), attn_mask=window.mask)
            out[:, :, queries] = found
            sums.append(logsumexp)
        ctx.windows = windows
        ctx.save_for_backward(q, k, v, out, *sums)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        q, k, v, out, *sums = ctx.saved_tensors
        q_slope, k_slope, v_slope = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for window, logsumexp in zip(ctx.windows, sums, strict=True):
            queries = slice(window.start, window.end)
            found = _backward(
                slopes[0][:, :, queries],
                q[:, :, queries],
                window.keys(k),
                window.keys(v),
                out[:, :, queries],
                logsumexp,
                0.0,
                False,
                attn_mask=window.mask,
            )
            q_slope[:, :, queries] = found[0]
            window.add(k_slope, found[1])
            window.add(v_slope, found[2])
        return q_slope, k_slope, v_slope, None
