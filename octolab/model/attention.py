"""Attention inside documents on a CPU, computed only where documents reach.

A packed row holds many documents, and a mask that keeps them apart makes most of a T x T attention useless. Here
queries go in chunks of `CHUNK` positions, and a chunk looks at keys from the start of the earliest document that
any of its queries belongs to: work grows with the length of documents, not of rows (docs/performance.md has what
that saves). Each chunk is one call of PyTorch's fused CPU kernel, forward and backward.

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
    """Queries start .. end - 1 look at keys low .. end - 1 where the additive mask [B, 1, queries, keys] is 0."""

    start: int
    end: int
    low: int
    mask: Tensor


def document_windows(documents_BT: Tensor) -> list[Window]:
    """Windows of a packed batch; document -1 is padding, which may look at anything."""
    length = documents_BT.shape[1]
    index_T = torch.arange(length)
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = (documents_BT[:, 1:] != documents_BT[:, :-1]) | (documents_BT[:, 1:] < 0)
    first_BT = torch.where(begins_BT, index_T, 0).cummax(1).values
    lows = first_BT[:, ::CHUNK].min(0).values.tolist()
    windows = []
    for low, start in zip(lows, range(0, length, CHUNK), strict=True):
        end = min(start + CHUNK, length)
        allowed = documents_BT[:, start:end, None] == documents_BT[:, None, low:end]
        allowed &= index_T[start:end, None] >= index_T[None, low:end]
        mask = torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf"))
        windows.append(Window(start, end, low, mask[:, None]))
    return windows


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
            queries, keys = slice(window.start, window.end), slice(window.low, window.end)
            found, logsumexp = _forward(q[:, :, queries], k[:, :, keys], v[:, :, keys], attn_mask=window.mask)
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
            queries, keys = slice(window.start, window.end), slice(window.low, window.end)
            found = _backward(
                slopes[0][:, :, queries],
                q[:, :, queries],
                k[:, :, keys],
                v[:, :, keys],
                out[:, :, queries],
                logsumexp,
                0.0,
                False,
                attn_mask=window.mask,
            )
            q_slope[:, :, queries] = found[0]
            k_slope[:, :, keys] += found[1]
            v_slope[:, :, keys] += found[2]
        return q_slope, k_slope, v_slope, None
