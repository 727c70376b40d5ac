"""`octolab doctor`: what this machine has, in a few seconds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
from pathlib import Path

MATRIX = 1024
"""Side of the matrices of the speed probe."""


def examine() -> dict[str, str]:
    """Name -> finding; a finding that needs action begins with `!`."""
    import torch

    free = shutil.disk_usage(Path.cwd()).free
    compiler = shutil.which("c++") or shutil.which("g++")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers", "datasets")},
        "cores": f"{os.cpu_count()} ({torch.get_num_threads()} threads used)",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "disk": f"{'! only ' if free < 2e9 else ''}{free / 1e9:.1f} GB free here",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none: computing on the CPU",
        "compiler": compiler or "none: `compile: true` falls back to eager",
        "matmul": f"{_matmul():.0f} GFLOP/s (fp32, {MATRIX} x {MATRIX})",
    }


def _matmul() -> float:
    import torch

    a, b = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    best = float("inf")
    for _ in range(8):
        begun = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begun)
    return 2 * MATRIX**3 / best / 1e9
