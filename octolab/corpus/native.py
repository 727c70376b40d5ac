"""C++ beside the Python: compiled once a machine, loaded with ctypes, absent where there is no compiler.

In goes the name of a `.cpp` file of this folder, out comes the loaded library or None. The library lies in the user's
cache under a hash of source, compiler and processor, and is renamed into place, so that a killed compiler leaves
nothing that looks whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")


@cache
def library(name: str) -> ctypes.CDLL | None:
    """The compiled `name`.cpp; None where there is no working C++ compiler. Compiling takes a second, once."""
    source = Path(__file__).with_name(f"{name}.cpp")
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    text = source.read_bytes()
    stamp = hashlib.blake2b(text + " ".join([compiler, *FLAGS, _processor()]).encode(), digest_size=8).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octolab"
    built = folder / f"{name}-{stamp}.so"
    try:
        if not built.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as work:
                made = Path(work) / built.name
                subprocess.run([compiler, *FLAGS, str(source), "-o", str(made)], check=True, capture_output=True)
                os.replace(made, built)
        return ctypes.CDLL(str(built))
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
