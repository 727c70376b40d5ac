"""From rewards to advantages.

A group is the completions of one prompt instance. A completion that could not be scored has reward NaN: it
enters neither mean nor deviation and gets advantage 0 (rule E4). A group whose rewards are all equal teaches
nothing and gets exactly 0: dividing its rounding error by a tiny deviation would not (rule E5).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

STD_EPS = 1e-6
"""Added to the standard deviation (rule E5)."""
EQUAL = 1e-6
"""Rewards of a group that differ by no more are equal (rule E5)."""


def group_advantages(rewards_GN: np.ndarray, kind: Literal["centred", "std"]) -> np.ndarray:
    """Advantages of groups of samples, [groups, samples] float64.

    `centred`: A = R - mean (Liu et al. 2025, Dr. GRPO). `std`: that divided by std + 1e-6 with ddof 1 (Shao et
    al. 2024, GRPO). Groups with fewer than two scored samples, or with equal rewards, get zeros.
    """
    rewards = np.asarray(rewards_GN, dtype=np.float64)
    scored = ~np.isnan(rewards)
    count_G1 = scored.sum(1, keepdims=True)
    known = np.where(scored, rewards, 0.0)
    mean_G1 = known.sum(1, keepdims=True) / np.maximum(count_G1, 1)
    centred = np.where(scored, rewards - mean_G1, 0.0)
    highest = np.where(scored, rewards, -np.inf).max(1, keepdims=True)
    lowest = np.where(scored, rewards, np.inf).min(1, keepdims=True)
    differs = (count_G1 > 1) & (highest - lowest > EQUAL)
    if kind == "std":
        variance_G1 = (centred**2).sum(1, keepdims=True) / np.maximum(count_G1 - 1, 1)
        centred = centred / (np.sqrt(variance_G1) + STD_EPS)
    return np.where(differs, centred, 0.0)
