"""The pool: same verdicts as in process, deadlines, crashes, memory, threads, and no process left behind."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from octolab.errors import UserError
from octolab.verify import Item, Verifier, reward, verify

OBEY = "graders:obey"
HERE = Path(__file__).parent
GOOD = ("5", r"so \boxed{5}")


def workers_of(parent: int) -> list[int]:
    """Process ids of the live children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")


@pytest.fixture
def pool() -> Iterator[Verifier]:
    """Two workers that do what the completion says, 0.4 s per answer."""
    with Verifier(workers=2, seconds=0.4, memory_mb=128, grader=OBEY) as verifier:
        yield verifier


def test_verdicts_are_those_of_verify_in_the_order_given() -> None:
    items = [
        Item(str(i % 7), f"step \ud800 é\n\\boxed{{{i % 5}}}" if i % 11 else "none", mode="rl") for i in range(300)
    ]
    items += [Item("8", "The answer is 8.", "eval", "gsm8k"), Item("", r"\boxed{}"), Item("2", r"\boxed{two}")]
    with Verifier(workers=2) as verifier:
        for batch in (items, items[::-1], []):  # the workers persist
            graded = verifier.grade(batch)
            for item, verdict in zip(batch, graded, strict=True):
                alone = verify(item.gold, item.completion, mode=item.mode, task=item.task)
                assert (verdict.verdict, verdict.span, verdict.gold_type, verdict.method) == (
                    *(alone.verdict, alone.span, alone.gold_type, alone.method),
                )


def test_items_may_be_tuples_or_mappings() -> None:
    with Verifier() as verifier:
        graded = verifier.grade(
            [GOOD, ("8", "#### 8", "eval", "gsm8k"), {"gold": "5", "completion": r"\boxed{6}", "mode": "rl"}]
        )
        assert [verdict.verdict for verdict in graded] == ["correct", "correct", "wrong"]
        with pytest.raises(TypeError):
            verifier.grade([("5", None)])
        with pytest.raises(ValueError, match="modes"):
            verifier.grade([("5", "5", "train")])


def test_completions_larger_than_any_pipe() -> None:
    items = [("5", "x" * 3_000_000 + r"\boxed{5}")] * 4
    with Verifier(workers=2) as verifier:
        assert [verdict.verdict for verdict in verifier.grade(items)] == ["correct"] * 4


@pytest.mark.parametrize(("order", "method"), [("loop", "deadline"), ("hang", "killed"), ("swallow", "killed")])
def test_an_answer_that_hangs_times_out_alone(pool: Verifier, order: str, method: str) -> None:
    start = time.monotonic()
    graded = pool.grade([GOOD] * 70 + [("5", order)] + [GOOD] * 70)
    assert time.monotonic() - start < 0.4 + 1.0 + 2.0
    hung = graded.pop(70)
    assert (hung.verdict, hung.method, hung.gold_type, reward(hung)) == ("timeout", method, "integer", 0.0)
    assert 350 < hung.ms < 3000
    assert {verdict.verdict for verdict in graded} == {"correct"}
    assert pool.grade([GOOD])[0].correct


def test_waiting_in_the_queue_does_not_count() -> None:
    with Verifier(workers=1, seconds=0.4, grader=OBEY) as verifier:
        assert all(verdict.correct for verdict in verifier.grade([("5", "sleep 0.05")] * 20))  # 1 s in all


def test_an_answer_that_exhausts_the_memory_times_out_alone(pool: Verifier) -> None:
    graded = pool.grade([GOOD] * 20 + [("5", "bomb")] + [GOOD] * 20)
    bomb = graded.pop(20)
    assert (bomb.verdict, bomb.method, reward(bomb)) == ("timeout", "memory", 0.0)
    assert all(verdict.correct for verdict in graded)


def test_memory_lost_by_earlier_answers_is_not_held_against_a_later_one() -> None:
    with Verifier(workers=1, memory_mb=100, grader="graders:leak") as verifier:
        assert all(verdict.correct for verdict in verifier.grade([GOOD] * 30))  # 600 MiB leaked in all


def test_a_worker_that_dies_is_tried_twice_and_costs_one_answer(pool: Verifier, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    graded = pool.grade([GOOD] * 20 + [("5", f"exit {tries}"), ("5", "crash")] + [GOOD] * 20)
    died, crashed = graded.pop(20), graded.pop(20)
    assert (died.verdict, died.method) == ("error", "the worker died twice, at last by exit code 7")
    assert tries.read_text() == "xx"
    assert (crashed.verdict, crashed.method) == (
        "error",
        f"the worker died twice, at last by signal {signal.SIGSEGV:d}",
    )
    assert math.isnan(reward(died))
    assert all(verdict.correct for verdict in graded)


def test_a_worker_that_dies_once_is_forgiven(pool: Verifier, tmp_path: Path) -> None:
    assert pool.grade([("5", f"crash_once {tmp_path / 'mark'}")])[0].correct


def test_what_a_grader_returns_or_raises(pool: Verifier) -> None:
    orders = ["true", "false", "part", "most", "verdict", "nan", "text", "none"]
    graded = dict(zip(orders, pool.grade([("5", f"return {order}") for order in orders]), strict=True))
    assert {order: verdict.verdict for order, verdict in graded.items()} == {
        **dict.fromkeys(("true", "most"), "correct"),
        **dict.fromkeys(("false", "part", "verdict"), "wrong"),
        **dict.fromkeys(("nan", "text", "none"), "error"),
    }
    assert [reward(graded[order]) for order in orders[:5]] == [1.0, 0.0, 0.25, 0.75, 0.0]
    assert (graded["verdict"].span, graded["verdict"].gold_type, graded["verdict"].method) == ("seen", "mine", "own")
    assert "returned str" in graded["text"].method
    assert pool.grade([("5", "return mode", "eval", "gsm8k")])[0].correct

    raised, left = pool.grade([("5", "raise"), ("5", "quit")])
    assert (raised.verdict, raised.method) == ("error", "KeyError: 'no such answer'")
    assert (left.verdict, left.method) == ("error", "SystemExit: 3")


def test_what_a_grader_prints_stays_out_of_the_protocol(pool: Verifier) -> None:
    assert [verdict.correct for verdict in pool.grade([("5", "print"), GOOD])] == [True, True]


@pytest.mark.parametrize(
    ("grader", "words"),
    [
        ("graders", "module:function"),
        (":obey", "module:function"),
        ("graders:", "module:function"),
        ("no_such_module:grade", "no_such_module"),
        ("graders:no_such_function", "no_such_function"),
        ("graders:NOT_A_FUNCTION", "not a function"),
    ],
)
def test_a_grader_that_cannot_be_loaded_is_the_users_mistake(grader: str, words: str) -> None:
    before = workers_of(os.getpid())
    with pytest.raises(UserError, match=words):
        Verifier(workers=2, grader=grader)
    assert workers_of(os.getpid()) == before


def test_settings_out_of_range_are_the_users_mistake() -> None:
    for settings in ({"workers": 0}, {"seconds": 0.0}, {"memory_mb": 0}):
        with pytest.raises(UserError, match="workers >= 1"):
            Verifier(**settings)  # type: ignore[arg-type]


# ---- threads, asyncio, interruption ----


def test_many_threads_may_share_a_pool_and_outlive_one_another(pool: Verifier) -> None:
    def grade(number: int) -> list[str]:
        items = [(str(number), f"\\boxed{{{number}}}"), ("5", "loop" if number == 3 else "none")]
        return [verdict.verdict for verdict in pool.grade(items)]

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(grade, range(8)))
    assert results == [["correct", "timeout" if number == 3 else "no_answer"] for number in range(8)]
    # The worker that was replaced from a thread that has ended still serves.
    assert all(verdict.correct for verdict in pool.grade([GOOD] * 100))


def test_from_asyncio(pool: Verifier) -> None:
    async def main() -> list[list[str]]:
        calls = (asyncio.to_thread(pool.grade, [GOOD, ("5", "none")]) for _ in range(3))
        return [[verdict.verdict for verdict in batch] for batch in await asyncio.gather(*calls)]

    assert asyncio.run(main()) == [["correct", "no_answer"]] * 3


def test_an_interrupted_batch_does_not_answer_into_the_next(pool: Verifier) -> None:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        with pytest.raises(KeyboardInterrupt):
            pool.grade([("5", "sleep 0.3")] * 4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert [verdict.verdict for verdict in pool.grade([("5", r"\boxed{6}"), GOOD])] == ["wrong", "correct"]


# ---- no process left behind ----


@needs_proc
def test_closing_and_forgetting_end_the_workers() -> None:
    before = set(workers_of(os.getpid()))
    closed = Verifier(workers=2)
    forgotten = Verifier(workers=2)
    pids = [pid for pid in workers_of(os.getpid()) if pid not in before]
    assert len(pids) == 4
    closed.close()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        closed.grade([GOOD])
    del forgotten
    gc.collect()
    assert gone(pids)


@needs_proc
def test_a_worker_killed_while_idle_is_replaced() -> None:
    before = set(workers_of(os.getpid()))
    with Verifier(workers=2) as verifier:
        for pid in set(workers_of(os.getpid())) - before:
            os.kill(pid, signal.SIGKILL)
        assert all(verdict.correct for verdict in verifier.grade([GOOD] * 10))
        assert len(set(workers_of(os.getpid())) - before) == 2


def start(script: str) -> subprocess.Popen[str]:
    """Run a script that has no `if __name__` guard, from another folder, in its own session."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])},
    )


HANGING_SCRIPT = """
import os, threading, time
from octolab.verify import Verifier
print("main", flush=True)
verifier = Verifier(workers=2, seconds=60, grader="graders:obey")
threading.Timer(0.5, print, ["grading"], {"flush": True}).start()
verifier.grade([("5", "hang"), ("5", "swallow")])
"""


@needs_proc
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_that_hang_end_with_their_parent(ending: signal.Signals) -> None:
    parent = start(HANGING_SCRIPT)
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)] == ["main\n", "grading\n"]
    pids = workers_of(parent.pid)
    assert len(pids) == 2
    os.killpg(parent.pid, ending)  # the whole group, as Ctrl-C in a terminal does
    _, errors = parent.communicate(timeout=10)
    assert gone(pids)
    assert errors.count("Traceback") == (1 if ending == signal.SIGINT else 0)


@needs_proc
def test_leaving_without_closing_ends_the_workers_and_main_is_not_run_again() -> None:
    script = """
import os
print("main")
from octolab.verify import Verifier
verifier = Verifier(workers=2)
print(open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read())
print(verifier.grade([("5", "so \\\\boxed{5}")])[0].verdict)
"""
    parent = start(script)
    output, errors = parent.communicate(timeout=20)
    lines = output.splitlines()
    assert (lines[0], lines[2], errors) == ("main", "correct", "")
    pids = [int(pid) for pid in lines[1].split()]
    assert len(pids) == 2
    assert gone(pids)


def test_a_forked_copy_neither_grades_nor_ends_the_workers() -> None:
    script = """
import gc, os
from octolab.verify import Verifier
verifier = Verifier()
if os.fork() == 0:
    try:
        verifier.grade([("5", "5")])
    except RuntimeError as error:
        print("another process" in str(error), flush=True)
    verifier.close()
    del verifier
    gc.collect()
    os._exit(0)
os.wait()
print(verifier.grade([("5", "so \\\\boxed{5}")])[0].verdict)
"""
    output, errors = start(script).communicate(timeout=20)
    assert (output, errors) == ("True\ncorrect\n", "")


def test_a_worker_imports_the_standard_library_only() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport octolab.verify.worker\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))\n"
    )
    output, _ = start(script).communicate(timeout=20)
    assert output == "['octolab']\n"


def test_overhead_per_answer_is_microseconds() -> None:
    items = [(str(i % 97), f"so it is \\boxed{{{i % 91}}}.") for i in range(4000)]
    with Verifier(workers=1) as verifier:
        verifier.grade(items[:200])
        begin = time.perf_counter()
        verifier.grade(items)
        assert time.perf_counter() - begin < 4000 * 500e-6  # measured 30 us on an idle core; 500 for a busy one


def test_two_threads_close_once() -> None:
    verifier = Verifier()
    closers = [threading.Thread(target=verifier.close) for _ in range(2)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(5)
        assert not closer.is_alive()
