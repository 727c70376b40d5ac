"""What a running stage is handed: its folder, and two ways to speak.

The folders below `pipeline` know nothing of consoles. They report how far they are and say what is worth
keeping; the pipeline turns that into progress bars and `log.txt`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


def _quiet(*_: object) -> None:
    return None


@dataclass(frozen=True)
class StageIO:
    """`out`: the stage's folder. `progress(done, total, note)`: how far. `log(text)`: a line for log.txt."""

    out: Path
    progress: Callable[[int, int, str], None] = field(default=_quiet)
    log: Callable[[str], None] = field(default=_quiet)
