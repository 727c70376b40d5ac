"""Grading in child processes: a deadline per answer, a memory limit, and a crash that costs one answer.

In goes a batch of (gold, completion) pairs, out come their verdicts in the same order. The children persist
between batches and are given chunks of answers, so that isolation costs microseconds per answer. The clock of an
answer starts when its worker begins it, never while it waits: a busy machine or a long queue makes no timeouts.
Where the worker cannot stop by itself (C code that never returns), the parent kills and replaces it.
"""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from octolab.errors import UserError
from octolab.verify.child import Child
from octolab.verify.compare import type_gold
from octolab.verify.grade import Item
from octolab.verify.verdict import Verdict

GRACE_SECONDS = 1.0  # what a worker may take beyond the deadline to say that it timed out
STARTUP_SECONDS = 120.0  # a user's grader may import much
RECEIVE_SECONDS = 60.0  # to read a chunk and announce its first answer
MAX_FAILED_STARTS = 3  # in a row
CHUNK_ITEMS = 64
CHUNK_CHARACTERS = 1 << 20


@dataclass(slots=True)
class _Batch:
    """The state of one call of `grade`: places in `items` that wait, and the verdicts so far."""

    items: list[Item]
    verdicts: list[Verdict | None]
    waiting: deque[int]
    retries: deque[int] = field(default_factory=deque)  # killed their worker once; for a fresh worker only
    lost: set[int] = field(default_factory=set)  # every place that was ever in `retries`
    open: int = 0

    def settle(self, place: int, verdict: Verdict) -> None:
        self.verdicts[place] = verdict
        self.open -= 1


class Verifier:
    """A pool of worker processes that grade; use it as a context manager or call `close`.

    workers: processes. seconds: deadline of one answer, wall clock, counted in the worker from the moment that
    the answer is begun. memory_mb: MiB of address space that grading may add to a worker (Linux only). grader:
    a function of the user's own as `module:function`, called in the worker with (gold, completion, mode, task);
    it returns a Verdict, a bool or a number (kept as the reward; correct from 0.5). None: `verify`.

    Exceeding the deadline or the memory gives `timeout`. A worker that dies on an answer is replaced and the
    answer tried once more on a fresh worker, then it is an `error`; so is a grader that raises. Other answers
    of the batch are not touched. May be used from any thread (calls take turns) and from asyncio through
    `asyncio.to_thread`; pickled to another process, as Ray does, it becomes a pool of that process. It does not work
    in a process forked off the one that made it. Workers end with `close`, with
    the last reference to the pool, and with the parent process, even one killed by SIGKILL.

    Raises UserError if the grader cannot be imported.
    """

    def __init__(
        self, workers: int = 1, seconds: float = 5.0, memory_mb: int = 1024, grader: str | None = None
    ) -> None:
        if workers < 1 or not seconds > 0 or memory_mb < 1:
            raise UserError(
                f"the verifier needs workers >= 1, seconds > 0 and memory_mb >= 1, "
                f"not {workers}, {seconds} and {memory_mb}"
            )
        if grader is not None and not all(grader.partition(":")):
            raise UserError(f"grader {grader!r} must be named as module:function")
        self.workers = workers
        self.seconds = seconds
        self._settings = {
            "seconds": seconds,
            "grace": GRACE_SECONDS,
            "memory_mb": memory_mb,
            "grader": grader,
        }
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._failed_starts = 0
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._finalizer = weakref.finalize(self, _shut_down, self._children, self._selector, self._owner)
        try:
            self._fill()
            while not all(child.ready for child in self._children):
                self._pump(None)
                self._fill()
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process (Ray, multiprocessing), it becomes a pool of that process with the same settings."""
        settings = self._settings
        return Verifier, (self.workers, self.seconds, settings["memory_mb"], settings["grader"])

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; waits for a batch that another thread is grading. Calling it again does nothing."""
        with self._lock:
            self._finalizer()

    def grade(self, items: Iterable[Item | tuple[Any, ...] | Mapping[str, Any]]) -> list[Verdict]:
        """Grade a batch and return its verdicts in the order of `items`.

        Blocks until all are done; an answer that hangs costs its worker `seconds` and a second of grace at most.
        Raises TypeError or ValueError for a malformed item, RuntimeError if the pool is closed, belongs to
        another process, or its workers cannot be started.
        """
        listed = [Item.of(item) for item in items]
        with self._lock:
            if not self._finalizer.alive:
                raise RuntimeError("this Verifier is closed")
            if os.getpid() != self._owner:
                raise RuntimeError("this Verifier was made in another process; make one in each")
            batch = _Batch(listed, [None] * len(listed), deque(range(len(listed))), open=len(listed))
            try:
                while batch.open:
                    self._fill()
                    self._hand_out(batch)
                    self._pump(batch)
            except BaseException:
                # Workers that still hold a part of this batch would answer into the next one.
                for child in [child for child in self._children if not child.idle]:
                    self._remove(child)
                raise
        return [verdict for verdict in batch.verdicts if verdict is not None]

    # ---- the parts of the loop ----

    def _fill(self) -> None:
        """Start workers until there are as many as asked for."""
        while len(self._children) < self.workers:
            if self._failed_starts >= MAX_FAILED_STARTS:
                self._failed_starts = 0
                raise RuntimeError(f"verify workers ended {MAX_FAILED_STARTS} times while starting; see stderr")
            child = Child(self._settings)
            child.deadline = time.monotonic() + STARTUP_SECONDS
            self._children.append(child)
            self._selector.register(child.stdout, selectors.EVENT_READ, child)

    def _hand_out(self, batch: _Batch) -> None:
        """Give each idle worker a chunk; a fresh one takes first an answer that killed its worker."""
        for child in self._children:
            if not child.idle:
                continue
            if batch.retries and child.served == 0:
                child.chunk.append(batch.retries.popleft())
            else:
                self._take_chunk(batch, child)
            if child.chunk:
                child.started = False
                child.deadline = time.monotonic() + RECEIVE_SECONDS
                chosen = [batch.items[place] for place in child.chunk]
                child.send([[item.gold, item.completion, item.mode, item.task] for item in chosen])
                if child.sending:
                    self._selector.register(child.stdin, selectors.EVENT_WRITE, child)

    def _take_chunk(self, batch: _Batch, child: Child) -> None:
        """Move waiting answers to a worker: fewer near the end, so that the workers finish together."""
        count = min(CHUNK_ITEMS, -(-len(batch.waiting) // (2 * self.workers)))
        characters = 0
        while len(child.chunk) < count and characters < CHUNK_CHARACTERS:
            place = batch.waiting.popleft()
            characters += len(batch.items[place].completion)
            child.chunk.append(place)

    def _pump(self, batch: _Batch | None) -> None:
        """Wait for something to happen and deal with it: messages, room to write, deaths, deadlines."""
        busy = [child.deadline for child in self._children if not child.idle]
        assert busy or batch is None, "answers wait, and no worker has them"
        timeout = max(0.0, min(busy) - time.monotonic()) if busy else None
        for key, events in self._selector.select(timeout):
            child: Child = key.data
            if child not in self._children:
                continue  # removed by an earlier event of this round
            if events & selectors.EVENT_WRITE:
                child.write_more()
                if not child.sending:
                    self._selector.unregister(child.stdin)
            else:
                self._receive(batch, child)
        now = time.monotonic()
        for child in [child for child in self._children if not child.idle and child.deadline <= now]:
            self._receive(batch, child)  # this thread may have been held up while the worker was not
            if child in self._children and not child.idle and child.deadline <= now:
                self._overdue(batch, child)

    def _receive(self, batch: _Batch | None, child: Child) -> None:
        messages, ended = child.receive()
        now = time.monotonic()
        for kind, *rest in messages:
            child.deadline = now + self.seconds + GRACE_SECONDS
            if kind == "ready":
                child.ready = True
                self._failed_starts = 0
            elif kind == "fatal":
                raise UserError(f"grader {self._settings['grader']!r} cannot be loaded: {rest[0]}")
            elif kind == "start":
                child.started = True
            elif batch is not None and kind == "verdict":
                verdict, span, gold_type, method, ms, score = rest
                batch.settle(child.chunk.popleft(), Verdict(verdict, span, gold_type, method, ms, score))
                child.served += 1
                if verdict == "timeout":  # the worker stops here, since it may be in any state
                    self._release(batch, child)
                    return
            elif batch is not None and kind == "memory":
                self._out_of_memory(batch, child, ms=rest[0])
                return
        if ended:
            self._died(batch, child)

    # ---- what goes wrong ----

    def _died(self, batch: _Batch | None, child: Child) -> None:
        """A worker ended by itself: it costs the answer that it was grading a try, and the others nothing."""
        if not child.ready:
            self._failed_starts += 1
        if batch is None or not child.chunk:
            self._remove(child)
            return
        place = child.chunk.popleft()
        code = self._release(batch, child)
        if code == -signal.SIGPROF:
            self._settle(batch, place, "timeout", "deadline", self.seconds)
        elif place in batch.lost:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._settle(batch, place, "error", f"the worker died twice, at last by {how}")
        else:
            batch.lost.add(place)
            batch.retries.append(place)

    def _out_of_memory(self, batch: _Batch, child: Child, ms: float) -> None:
        """The memory limit was met: the answer's own doing if the worker was fresh, else it is tried on one."""
        place = child.chunk.popleft()
        self._release(batch, child)
        if child.served == 0:
            self._settle(batch, place, "timeout", "memory", ms / 1e3)
        else:
            batch.lost.add(place)
            batch.retries.append(place)

    def _overdue(self, batch: _Batch | None, child: Child) -> None:
        """A worker has not been heard of in time: kill it. If it was grading, that answer timed out."""
        if batch is None or not child.started or not child.chunk:
            self._died(batch, child)
            return
        place = child.chunk.popleft()
        self._release(batch, child)
        self._settle(batch, place, "timeout", "killed", self.seconds + GRACE_SECONDS)

    def _settle(self, batch: _Batch, place: int, verdict: str, method: str, seconds: float = 0.0) -> None:
        """Record the verdict on an answer that no worker could report."""
        kind = type_gold(batch.items[place].gold).kind
        batch.settle(place, Verdict(verdict, None, kind, method, seconds * 1e3))

    def _release(self, batch: _Batch, child: Child) -> int:
        """Kill a worker and let the answers that it had not begun go first in the queue; gives its exit code."""
        batch.waiting.extendleft(reversed(child.chunk))
        return self._remove(child)

    def _remove(self, child: Child) -> int:
        """Kill a worker and forget it; returns its exit code."""
        self._children.remove(child)
        self._selector.unregister(child.stdout)
        if child.stdin in self._selector.get_map():
            self._selector.unregister(child.stdin)
        return child.kill()


def _shut_down(children: list[Child], selector: selectors.BaseSelector, owner: int) -> None:
    """End all workers. Not in a process forked off the owner, which shares the handles but not the workers."""
    if os.getpid() != owner:
        return
    while children:
        children.pop().kill()
    selector.close()
