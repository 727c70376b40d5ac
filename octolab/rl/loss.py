"""The objective of GRPO, term by term.

Everything is per token and flat: N sampled tokens of the rows of a micro-batch. The denominators of the
aggregation span the whole optimizer step and are fixed before the first backward pass: `row_weights` turns
them into one weight per row, so that summing weight * loss over any split into micro-batches gives the same
number (rule E10).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Aggregation = Literal["token", "sequence", "constant"]

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to +- this before exp (rules E6 and E9)."""


def ratio(logp_N: Tensor, old_N: Tensor) -> Tensor:
    """rho = exp(logp_theta - logp_old)."""
    return (logp_N - old_N).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def clipped_loss(rho_N: Tensor, advantage_N: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """max(-A rho, -A clip(rho, 1 - e_lo, 1 + e_hi)) (Schulman et al. 2017, eq. 7; upper clip: Yu et al. 2025)."""
    return torch.maximum(-advantage_N * rho_N, -advantage_N * rho_N.clamp(1 - clip_low, 1 + clip_high))


def importance_weights(old_N: Tensor, rollout_N: Tensor, cap: float) -> Tensor:
    """w = min(exp(logp_old - logp_mu), C), without gradient: truncated importance sampling (rule E8)."""
    return (old_N - rollout_N).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp().clamp(max=cap).detach()


def k3(logp_N: Tensor, reference_N: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = logp_ref - logp_theta (Schulman 2020; rule E9)."""
    d_N = (reference_N - logp_N).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return d_N.exp() - d_N - 1


def row_weights(lengths_B: np.ndarray, aggregation: Aggregation, max_tokens: int) -> np.ndarray:
    """Weight of every token of each row, [B] float64, over all rows of an optimizer step.

    Args:
        lengths_B: trained tokens of each row.
        aggregation: `token` 1 / N (DAPO), `sequence` 1 / (M T_i) (GRPO), `constant` 1 / (M L_max) (Dr. GRPO),
            with M the rows that have tokens.
        max_tokens: L_max, a constant of the run: the last cap of a length schedule.
    """
    lengths = np.asarray(lengths_B, dtype=np.float64)
    rows = max(int((lengths > 0).sum()), 1)
    if aggregation == "token":
        return np.full(len(lengths), 1.0 / max(lengths.sum(), 1.0))
    if aggregation == "sequence":
        return 1.0 / (rows * np.maximum(lengths, 1.0))
    return np.full(len(lengths), 1.0 / (rows * max_tokens))


def policy_loss(
    logp_N: Tensor,
    old_N: Tensor,
    advantage_N: Tensor,
    weight_N: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    importance_N: Tensor | None = None,
    reference_N: Tensor | None = None,
    kl_beta: float = 0.0,
) -> Tensor:
    """The step's loss, or a micro-batch's part of it: a sum of weighted token losses.

    The importance weight multiplies the policy term only, after clipping; the penalty comes on top, unweighted.
    """
    loss_N = clipped_loss(ratio(logp_N, old_N), advantage_N, clip_low, clip_high)
    if importance_N is not None:
        loss_N = loss_N * importance_N
    if reference_N is not None:
        loss_N = loss_N + kl_beta * k3(logp_N, reference_N)
    return (weight_N * loss_N).sum()
