"""Hostile completions: none accepted, none left running, memory bounded, the same verdicts on a busy machine."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from pathlib import Path

import pytest
from hostile import hostile
from test_verify_pool import gone, workers_of

from octolab.verify import Verifier, verify

SEEDS = Path(__file__).with_name("fuzz_seeds.jsonl")


def _spin(stop: float) -> None:
    while time.time() < stop:
        pass


def test_a_thousand_in_a_minute_none_accepted_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    items = list(hostile(1000, seed=0))
    start = time.monotonic()
    with Verifier(workers=2, memory_mb=512) as verifier:
        workers = workers_of(os.getpid())
        graded = verifier.grade(items)
    assert time.monotonic() - start < 60
    assert [item for item, verdict in zip(items, graded, strict=True) if verdict.correct] == []
    assert {verdict.verdict for verdict in graded} <= {"wrong", "unparsed", "no_answer"}  # no crash, no timeout
    assert max(verdict.ms for verdict in graded) < 5000
    assert gone(workers)
    assert list(tmp_path.iterdir()) == []  # no code of theirs ran


def test_the_same_verdicts_with_every_core_busy() -> None:
    items = [item for item in hostile(400, seed=1) if len(item[1]) < 100_000]
    alone = [verify(*item).verdict for item in items]
    spinning = [multiprocessing.get_context("spawn").Process(target=_spin, args=(time.time() + 15,)) for _ in range(4)]
    for process in spinning:
        process.start()
    try:
        with Verifier(workers=2) as verifier:
            assert [verdict.verdict for verdict in verifier.grade(items)] == alone
    finally:
        for process in spinning:
            process.kill()
            process.join()


def test_memory_in_process_is_bounded() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for item in hostile(300, seed=2):
        assert not verify(*item).correct
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB


def test_what_fuzzing_found_stays_mended() -> None:
    for line in SEEDS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        start = time.perf_counter()
        graded = verify(row["gold"], row["completion"], mode=row["mode"])
        assert graded.verdict in row["verdicts"], row
        assert time.perf_counter() - start < 2, row
