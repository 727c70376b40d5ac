"""One worker process as its parent sees it: start it, write to it, read from it, end it.

The child is a fresh interpreter (`python -m octolab.verify.worker`) that speaks JSON lines over its pipes, so
nothing is pickled and the caller's `__main__` is not imported again. It cannot outlive its parent: it holds
the read end of a pipe, the lifeline, whose write end only the parent has, and asks the kernel for a signal when
that end closes. The kernel closes it even if the parent is killed, and delivers the signal even if the child
hangs inside C code. (PR_SET_PDEATHSIG is not used because it fires when the *thread* that started the child
ends, which would kill workers that were replaced from a short-lived thread.)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from typing import Any

READ_SIZE = 1 << 18


class Child:
    """A worker process. Its pipes are non-blocking on this side; the scheduling state is the pool's."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Start a worker. `settings`: seconds, grace, memory_mb, grader (see `worker.main`)."""
        lifeline, self._lifeline = os.pipe()
        try:
            # -P: the folder that the parent happens to be in is no place to import from; the child finds what
            # the parent finds, in the same order.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "octolab.verify.worker", json.dumps({**settings, "lifeline": lifeline})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(lifeline,),
                start_new_session=True,  # Ctrl-C in a terminal reaches the parent only
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        except BaseException:
            os.close(self._lifeline)
            raise
        finally:
            os.close(lifeline)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin = self.process.stdin.fileno()
        self.stdout = self.process.stdout.fileno()
        os.set_blocking(self.stdin, False)
        os.set_blocking(self.stdout, False)
        self._received = bytearray()
        self._unsent = memoryview(b"")
        self.ready = False
        self.chunk: deque[int] = deque()  # places in the batch that it was given and has not reported
        self.served = 0  # answers reported since it started
        self.started = False  # it has announced that it is grading chunk[0]
        self.deadline = 0.0  # time.monotonic() by which it must be heard of, unless it is idle

    @property
    def idle(self) -> bool:
        return self.ready and not self.chunk

    @property
    def sending(self) -> bool:
        return len(self._unsent) > 0

    def send(self, message: list[Any]) -> None:
        """Queue one message and write what the pipe takes now; `write_more` writes the rest."""
        self._unsent = memoryview(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
        self.write_more()

    def write_more(self) -> None:
        """Write without blocking. A broken pipe is left for `receive`, which sees the end of the output."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.stdin, self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = memoryview(b"")

    def receive(self) -> tuple[list[list[Any]], bool]:
        """The complete messages that have arrived, and whether the child has closed its output (it is dead)."""
        ended = False
        while True:
            try:
                data = os.read(self.stdout, READ_SIZE)
            except BlockingIOError:
                break
            if not data:
                ended = True
                break
            self._received += data
            if len(data) < READ_SIZE:
                break
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        return [json.loads(line) for line in lines], ended

    def kill(self) -> int:
        """End the process and whatever it started, reap it, and give its return code (negative: a signal)."""
        # Not reaped before this line, so the group's number cannot have passed to another process.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        os.close(self._lifeline)
        return code
