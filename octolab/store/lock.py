"""One process at a time on a run directory.

`flock` on `<run>/.lock`, held for the life of the process and freed by the kernel when it dies, however it
dies. A second process is refused with the first one's number.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from octolab.errors import UserError
from octolab.store.atomic import disk_errors


@contextlib.contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold the run directory for this process.

    Raises:
        UserError: another process holds it.
    """
    with disk_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        handle = open(run / ".lock", "a+")  # noqa: SIM115 - held until the block ends
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise UserError(
                f"{run} is in use by process {owner}; wait until it ends, stop it, or choose another --out"
            ) from error
        with disk_errors(run):
            handle.seek(0)
            handle.truncate()
            handle.write(str(os.getpid()))
            handle.flush()
        yield
    finally:
        handle.close()
