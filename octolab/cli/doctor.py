"""`octolab doctor`: what this machine has, in a few seconds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path


def examine() -> dict[str, str]:
    """Name -> finding; a finding that needs action begins with `!`."""
    import torch

    from octolab.model.speed import matmul_flops

    device = "cuda" if torch.cuda.is_available() else "cpu"
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
        "matmul": f"{matmul_flops(device) / 1e9:,.0f} GFLOP/s ({'bf16' if device == 'cuda' else 'fp32'})",
    }
