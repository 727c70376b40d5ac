"""The child process that grades: `python -m octolab.verify.worker SETTINGS`, started by the pool only.

In: one JSON line per chunk, `[[gold, completion, mode, task], ...]`. Out: `["ready"]` or `["fatal", why]` once,
then per chunk `["start"]` and one `["verdict", ...]` per answer, in order and at once, so that the parent knows
when each answer was begun; a worker that ran out of memory says `["memory", ms]` and ends. Nothing that the
grader prints can get between these lines: its standard output is sent to standard error.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import math
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from time import perf_counter
from types import FrameType
from typing import Any, NoReturn

from octolab.verify.compare import type_gold
from octolab.verify.grade import verify
from octolab.verify.verdict import Verdict

Grader = Callable[[str, str, str, str | None], Any]
MAX_MESSAGE = 300  # characters of an error message kept
CORRECT_FROM = 0.5  # a user's grader that gives a number means "correct" from here on


class _Deadline(BaseException):
    """Raised by the alarm. Not an Exception, so that a grader's own `except Exception` lets it pass."""


def _on_alarm(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Deadline


def load_grader(name: str) -> Grader:
    """The function named `module:function`.

    Raises whatever the import raises, AttributeError for a missing name, TypeError for one that cannot be called.
    """
    module, _, attribute = name.partition(":")
    grader = getattr(importlib.import_module(module), attribute)
    if not callable(grader):
        raise TypeError(f"{name} is not a function")
    return grader


def _builtin(gold: str, completion: str, mode: str, task: str | None) -> Verdict:
    return verify(gold, completion, mode=mode, task=task)


def to_verdict(outcome: Any, gold: str) -> Verdict:
    """What a user's grader returned, as a verdict: a Verdict as it is, a bool, or a finite number.

    A number is kept as the score, which is the reward; from `CORRECT_FROM` it also counts as correct.
    """
    if isinstance(outcome, Verdict):
        return outcome
    kind = type_gold(gold).kind
    if isinstance(outcome, bool):
        return Verdict("correct" if outcome else "wrong", gold_type=kind, method="grader")
    if not hasattr(outcome, "__float__"):
        message = f"the grader returned {type(outcome).__name__}, not a number, a bool or a Verdict"
        return Verdict("error", gold_type=kind, method=message)
    score = float(outcome)
    if not math.isfinite(score):
        return Verdict("error", gold_type=kind, method=f"the grader returned {score}")
    return Verdict("correct" if score >= CORRECT_FROM else "wrong", gold_type=kind, method="grader", score=score)


def grade_one(grader: Grader, item: list[Any], seconds: float, grace: float) -> Verdict:
    """Grade one answer under the deadline, counted from here. Raises MemoryError where memory ran out."""
    gold, completion, mode, task = item
    # Set anew for each answer, because graders such as Math-Verify use the same alarm.
    signal.signal(signal.SIGALRM, _on_alarm)
    # Where C code hangs and the parent is not there to see it, the kernel ends this process by CPU time.
    signal.setitimer(signal.ITIMER_PROF, seconds + 2 * grace)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return to_verdict(grader(gold, completion, mode, task), gold)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Deadline:
        return Verdict("timeout", gold_type=type_gold(gold).kind, method="deadline")
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        message = f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
        return Verdict("error", gold_type=type_gold(gold).kind, method=message)


def serve(requests: Any, send: Callable[[list[Any]], None], grader: Grader, seconds: float, grace: float) -> None:
    """Grade chunk after chunk until the input ends, or until an answer timed out or exhausted the memory.

    After either of these the process may be in any state, so it ends and the parent starts another.
    """
    start = perf_counter()
    try:
        for line in requests:
            items = json.loads(line)
            send(["start"])
            for item in items:
                start = perf_counter()
                verdict = grade_one(grader, item, seconds, grace)
                ms = (perf_counter() - start) * 1e3
                send(["verdict", verdict.verdict, verdict.span, verdict.gold_type, verdict.method, ms, verdict.score])
                if verdict.verdict == "timeout":
                    return
    except MemoryError:
        send(["memory", (perf_counter() - start) * 1e3])


def tie_to_parent(lifeline: int) -> None:
    """End with the parent: ask the kernel for SIGIO, which ends this process, when the lifeline closes.

    lifeline: a descriptor whose other end the parent alone holds. Signals that the parent may have blocked or
    ignored get their defaults back.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGIO, signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    os.set_inheritable(lifeline, False)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # closed before the kernel was asked
        sys.exit()


def limit_memory(memory_mb: int) -> None:
    """Let grading add at most `memory_mb` MiB of address space to what is mapped now (Linux); no core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = mapped + memory_mb * 2**20
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Run as a worker; the one argument is a JSON object: seconds, grace, memory_mb, grader, lifeline."""
    settings = json.loads(sys.argv[1])
    tie_to_parent(settings["lifeline"])
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def send(message: list[Any]) -> None:
        data = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        while data:
            data = data[os.write(answers, data) :]

    try:
        try:
            grader = load_grader(settings["grader"]) if settings["grader"] else _builtin
        except Exception as error:
            send(["fatal", f"{type(error).__name__}: {error}"[:MAX_MESSAGE]])
            return
        limit_memory(settings["memory_mb"])
        send(["ready"])
        serve(requests, send, grader, settings["seconds"], settings["grace"])
    except BrokenPipeError:
        pass  # the parent is gone


if __name__ == "__main__":
    main()
