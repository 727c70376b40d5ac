"""How fast this device multiplies matrices: the measure that a share of peak is taken of.

Measured, not looked up: half a second on a CPU, less on a GPU, in the precision that training computes in. A share
of it (`mfu` in the metrics) is honest on any machine, also a shared one.
"""

from __future__ import annotations

import time
from functools import cache

import torch

SIDE = {"cpu": 1024, "cuda": 8192}
REPEATS = 8


@cache
def matmul_flops(device_type: str) -> float:
    """Best FLOP/s of a square matrix product: fp32 on a CPU, bf16 on a GPU."""
    dtype = torch.bfloat16 if device_type == "cuda" else torch.float32
    side = SIDE[device_type]
    a = torch.randn(side, side, device=device_type).to(dtype)
    best = float("inf")
    for _ in range(REPEATS):
        begun = time.perf_counter()
        product = a @ a
        product[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2 * side**3 / best
