"""pass@k without bias: the chance that k samples hold a right one, from n >= k samples.

Chen et al. 2021, eq. 1. Drawing k of the n samples that there are, without putting back, and averaging over all
draws is what the closed form computes.
"""

from __future__ import annotations

import math


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k).

    Raises:
        ValueError: k is above the number of samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples, there are {samples}")
    if samples - correct < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(samples - correct + 1, samples + 1))


def pass_ks(samples: int) -> list[int]:
    """1, 2, 4, ... up to the number of samples."""
    return [2**power for power in range(samples.bit_length()) if 2**power <= samples]
