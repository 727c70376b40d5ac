"""From hidden states to log-probabilities of the tokens that followed.

The head's product, the softmax and their gradient are one operation with one buffer of logits: library log-softmax,
gather and their backward passes hold several of them, and a small model's step then moves logits about. Where
even one buffer would be larger than `LOGITS_AT_ONCE`, rows go in chunks whose logits are computed again in the
backward pass. All arithmetic behind the matrix product is fp32. Everything else about a loss is plain PyTorch on
top of what is returned here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LOGITS_AT_ONCE = 1 << 27
"""Most logits held at once (2^27 fp32 values are 512 MiB)."""


def next_token_losses(hidden_NW: Tensor, head_VW: Tensor, targets_N: Tensor) -> Tensor:
    """Cross-entropy in nats of each target, [N] fp32."""
    return -_TokenLogprobs.apply(hidden_NW, head_VW, targets_N, 1.0, False)[0]


def token_logprobs(hidden_NW: Tensor, head_VW: Tensor, targets_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of each distribution at `temperature`, both [N] fp32.

    logp = z[y] - logsumexp(z), H = logsumexp(z) - sum softmax(z) z, with z = logits / temperature
    (facts: rules E2 and E14). The entropy carries no gradient.
    """
    return _TokenLogprobs.apply(hidden_NW, head_VW, targets_N, temperature, True)


def _shifted_logits(hidden_NW: Tensor, head_VW: Tensor, temperature: float) -> Tensor:
    """z - max z, [N, V] fp32 in a buffer of its own; z = logits / temperature."""
    z_NV = F.linear(hidden_NW, head_VW).float()
    if temperature != 1.0:
        z_NV /= temperature
    z_NV -= z_NV.amax(-1, keepdim=True)
    return z_NV


class _TokenLogprobs(torch.autograd.Function):
    """d logp / d z = onehot(target) - softmax(z): the buffer of exp(z) becomes the gradient in place."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda")
    def forward(
        ctx: Any, hidden_NW: Tensor, head_VW: Tensor, targets_N: Tensor, temperature: float, entropy: bool
    ) -> tuple[Tensor, Tensor]:
        rows, vocabulary = hidden_NW.shape[0], head_VW.shape[0]
        ctx.temperature, ctx.chunk = temperature, max(1, LOGITS_AT_ONCE // vocabulary)
        logp, sums, entropies = [], [], []
        exp_NV = None
        for start in range(0, max(rows, 1), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            z_NV = _shifted_logits(hidden_NW[part], head_VW, temperature)
            picked_N = z_NV.gather(-1, targets_N[part, None]).squeeze(-1)
            exp_NV = z_NV.exp() if entropy else z_NV.exp_()
            sum_N = exp_NV.sum(-1)
            if entropy:
                mean_z_N = torch.linalg.vecdot(exp_NV, z_NV) / sum_N
                entropies.append(sum_N.log() - mean_z_N)
            logp.append(picked_N - sum_N.log())
            sums.append(sum_N)
        whole = exp_NV if rows <= ctx.chunk else None
        ctx.save_for_backward(hidden_NW, head_VW, targets_N, torch.cat(sums))
        ctx.exp_NV = whole if any(ctx.needs_input_grad) else None
        result = torch.cat(logp)
        found = torch.cat(entropies) if entropy else result.new_empty(0)
        ctx.mark_non_differentiable(found)
        return result, found

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx: Any, *slopes: Tensor) -> Any:  # type: ignore[override]
        slope_N = slopes[0]
        hidden_NW, head_VW, targets_N, sum_N = ctx.saved_tensors
        hidden_slopes, head_slope_VW = [], torch.zeros_like(head_VW)
        for start in range(0, max(hidden_NW.shape[0], 1), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            exp_NV, ctx.exp_NV = ctx.exp_NV, None
            if exp_NV is None:
                exp_NV = _shifted_logits(hidden_NW[part], head_VW, ctx.temperature).exp_()
            slope_n = slope_N[part] / ctx.temperature
            exp_NV *= (-slope_n / sum_N[part])[:, None]
            exp_NV.scatter_add_(-1, targets_N[part, None], slope_n[:, None])
            z_slope_NV = exp_NV.to(hidden_NW.dtype)
            hidden_slopes.append(z_slope_NV @ head_VW.to(hidden_NW.dtype))
            head_slope_VW += (z_slope_NV.T @ hidden_NW[part]).to(head_VW.dtype)
        return torch.cat(hidden_slopes), head_slope_VW, None, None, None
