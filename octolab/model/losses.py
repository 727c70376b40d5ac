"""From hidden states to log-probabilities of the tokens that followed.

Both functions take hidden states of the wanted positions only and never hold more than `LOGITS_AT_ONCE`
logits: above that they work in chunks whose logits are computed again in the backward pass (memory for a
second matrix product; chunking costs no measurable time at small vocabularies, facts in docs/performance.md).
All arithmetic behind the matrix product is fp32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LOGITS_AT_ONCE = 1 << 27
"""Most logits held at once (2^27 fp32 values are 512 MiB)."""


def _chunked(function: Callable[..., tuple[Tensor, ...]], vocab: int, *rows: Tensor) -> tuple[Tensor, ...]:
    """Apply a row-wise function to chunks of rows that keep the logits under the limit."""
    count = rows[0].shape[0]
    chunk = max(1, LOGITS_AT_ONCE // vocab)
    if count <= chunk:
        return function(*rows)
    parts = [
        checkpoint(function, *(row[start : start + chunk] for row in rows), use_reentrant=False)
        for start in range(0, count, chunk)
    ]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def next_token_losses(hidden_NW: Tensor, head_VW: Tensor, targets_N: Tensor) -> Tensor:
    """Cross-entropy in nats of each target, [N] fp32."""

    def losses(hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        return (F.cross_entropy(F.linear(hidden, head_VW).float(), targets, reduction="none"),)

    return _chunked(losses, head_VW.shape[0], hidden_NW, targets_N)[0]


def token_logprobs(hidden_NW: Tensor, head_VW: Tensor, targets_N: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of each distribution at `temperature`, both [N] fp32.

    logp = z[y] - logsumexp(z), H = logsumexp(z) - sum softmax(z) z, with z = logits / temperature
    (facts: rules E2 and E14). The entropy carries no gradient.
    """

    def scores(hidden: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        logits = F.linear(hidden, head_VW).float()
        if temperature != 1.0:
            logits = logits / temperature
        logp = F.log_softmax(logits, dim=-1)
        with torch.no_grad():
            entropy = -(logp.exp() * logp).sum(-1)
        return logp.gather(-1, targets[:, None]).squeeze(-1), entropy

    logp, entropy = _chunked(scores, head_VW.shape[0], hidden_NW, targets_N)
    return logp, entropy
