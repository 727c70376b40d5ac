"""Rotary positions: the angle tables and the rotation.

Half-split convention of Hugging Face checkpoints: feature i is paired with feature i + head_dim / 2. Llama 3
scaling follows the published frequencies (long wavelengths divided by `factor`, a linear blend between).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from octolab.model.config import DecoderConfig


def inverse_frequencies(config: DecoderConfig) -> Tensor:
    """Angular step per position of each feature pair, [head_dim / 2], fp32."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float() / config.head_dim
    inverse = 1.0 / (config.rope_theta**exponent)
    scaling = config.rope_scaling
    if scaling is None:
        return inverse
    wavelength = 2 * math.pi / inverse
    blend = (scaling.original_positions / wavelength - scaling.low) / (scaling.high - scaling.low)
    blend = blend.clamp(0.0, 1.0)
    return (1 - blend) * inverse / scaling.factor + blend * inverse


def angle_tables(config: DecoderConfig, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines for positions 0 .. positions - 1, each [positions, head_dim / 2], fp32."""
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse_frequencies(config))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the feature pairs of `x` [..., heads, head_dim] by tables that broadcast to [..., 1, head_dim / 2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
