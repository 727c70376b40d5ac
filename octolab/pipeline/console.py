"""How a run speaks: a bar with rate and time left on a terminal, plain lines elsewhere, a log file always."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from octolab.store.atomic import disk_errors
from octolab.store.stage import StageIO

PLAIN_SECONDS = 10.0
"""Time between two plain progress lines of a stage."""


class StageView:
    """What the user sees of one running stage; makes the `StageIO` that the stage is handed."""

    def __init__(self, console: Console, node: str, out: Path) -> None:
        self.console, self.node, self.out = console, node, out
        self.begun = self.spoken = time.monotonic()
        self.first: int | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> StageView:
        with disk_errors(self.out / "log.txt"):
            self._log = open(self.out / "log.txt", "ab", buffering=0)  # closing after a full disk must not fail
        if self.console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(self.node, total=None, note="", count="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._log.close()

    def progress(self, done: int, total: int, note: str) -> None:
        """Show how far the stage is; `total` 0 means unknown."""
        if self._progress is not None and self._task is not None:
            count = f"{done:,}/{total:,}" if total else ""
            self._progress.update(self._task, completed=done, total=total or None, note=note, count=count)
            return
        now = time.monotonic()
        if self.first is None:
            self.first = done
        if now - self.spoken < PLAIN_SECONDS:
            return
        self.spoken = now
        left = ""
        if total and done > self.first:
            left = f", {(now - self.begun) / (done - self.first) * (total - done):.0f} s left"
        count = f"{done:,}/{total:,}" if total else ""
        self.console.print(f"  {self.node} {count} {note}{left}", highlight=False, markup=False)

    def log(self, text: str) -> None:
        """Keep a line in log.txt."""
        with disk_errors(self.out / "log.txt"):
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())

    def io(self) -> StageIO:
        """The stage's own view of this."""
        return StageIO(self.out, self.progress, self.log)
