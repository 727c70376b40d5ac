"""Choosing tokens: counter-based randomness and the inverse distribution function.

The uniform behind a token is hash(seed, step, prompt, sample, position): no generator is stepped, so a
completion does not depend on which other rows run beside it or in which order they end (rule E16). With the
same logits the same token follows; with logits from another batch layout the same token follows unless the
uniform lies within rounding of a border.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from octolab.tokens.permutation import key_of

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seed: int, step: int, keys: list[tuple[str | int, int]], positions: int) -> np.ndarray:
    """Uniforms in [0, 1) for (prompt key, sample) pairs at positions 0 .. positions - 1, [rows, positions] fp32.

    splitmix64 (Steele et al. 2014) over a 64-bit hash of the row; the top 24 bits, which fp32 holds exactly.
    """
    base_R = np.array([key_of(seed, step, key, sample) for key, sample in keys], dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = base_R[:, None] + _GOLDEN * np.arange(1, positions + 1, dtype=np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(40)).astype(np.float32)) * np.float32(2.0**-24)


def choose(logits_RV: Tensor, uniform_R: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens [R] and their log-probabilities [R] under the distribution they were drawn from.

    Temperature 0 takes the largest logit and reports its log-probability at temperature 1.
    """
    logits_RV = logits_RV.float()
    if temperature == 0.0:
        token_R = logits_RV.argmax(-1)
        return token_R, (logits_RV.gather(-1, token_R[:, None]).squeeze(-1) - logits_RV.logsumexp(-1))
    logp_RV = torch.log_softmax(logits_RV if temperature == 1.0 else logits_RV / temperature, dim=-1)
    if top_p < 1.0:
        logp_RV = torch.log_softmax(nucleus(logp_RV, top_p), dim=-1)
    cumulative_RV = logp_RV.exp().cumsum(-1)
    total_R1 = cumulative_RV[:, -1:]
    target_R1 = torch.minimum(uniform_R[:, None] * total_R1, total_R1 * (1 - 2.0**-23))
    # A row of NaN has no place for the target; its last token and log-probability NaN let the trainer's guard see it.
    token_R1 = torch.searchsorted(cumulative_RV, target_R1, right=True).clamp(max=logits_RV.shape[-1] - 1)
    return token_R1.squeeze(-1), logp_RV.gather(-1, token_R1).squeeze(-1)


def nucleus(logp_RV: Tensor, top_p: float) -> Tensor:
    """Log-probabilities with everything outside the smallest set of mass `top_p` at minus infinity
    (Holtzman et al. 2020); the likeliest token always stays."""
    sorted_RV, order_RV = logp_RV.sort(dim=-1, descending=True)
    before_RV = sorted_RV.exp().cumsum(-1) - sorted_RV.exp()
    outside_RV = torch.zeros_like(before_RV, dtype=torch.bool).scatter_(-1, order_RV, before_RV >= top_p)
    return logp_RV.masked_fill(outside_RV, float("-inf"))
