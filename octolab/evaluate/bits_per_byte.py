"""Bits per byte of held-out text: how well a model predicts a source, whatever its tokenizer.

Rising bits per byte on a source after RL or a branch is forgetting that benchmarks do not show. Each document
is scored alone with the prefix it was trained with; the first token, which a tokenizer without BOS leaves
unpredicted, and the end-of-document token count neither as bits nor as bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from octolab.midtrain.trainer import compute_dtype
from octolab.model.decoder import Decoder
from octolab.model.losses import next_token_losses
from octolab.tokens.tokenizer import Tokenizer

TOKENS_AT_ONCE = 8192
"""Positions (padding included) in one forward pass."""


@torch.no_grad()
def bits_per_byte(model: Decoder, tokenizer: Tokenizer, texts: Sequence[str]) -> float | None:
    """Mean bits per UTF-8 byte over all texts; None where there is nothing to score."""
    device = next(model.parameters()).device
    sequences: list[list[int]] = []
    bytes_scored = 0
    for text in texts:
        ids = tokenizer.document_ids(text)[:-1]
        for start in range(0, len(ids), model.config.positions):
            piece = ids[start : start + model.config.positions]
            if len(piece) > 1:
                sequences.append(piece)
                bytes_scored += len(tokenizer.decode(piece[1:]).encode("utf-8"))
    if not bytes_scored:
        return None
    sequences.sort(key=len, reverse=True)
    nats, start = 0.0, 0
    while start < len(sequences):
        size = max(1, TOKENS_AT_ONCE // len(sequences[start]))
        batch = sequences[start : start + size]
        width = len(batch[0])
        ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids in batch], device=device)
        lengths_B = torch.tensor([len(ids) for ids in batch], device=device)
        wanted_BT = torch.arange(width - 1, device=device) < lengths_B[:, None] - 1
        with compute_dtype(device):
            hidden_NW = model.hidden(ids_BT)[:, :-1][wanted_BT]
            nats += float(next_token_losses(hidden_NW, model.head.weight, ids_BT[:, 1:][wanted_BT]).double().sum())
        start += size
    return nats / math.log(2) / bytes_scored
