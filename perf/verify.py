"""Our verifier beside Math-Verify on the same answers: `make peers && python perf/verify.py`.

Work: 800 graded completions of a Qwen model on MATH problems (headline) and the development pairs, graded one after the
other in one process, each with its gold read anew in every pass. The rate is that of the median answer; below the
table stand the right verdicts of both (against the stored grades, one of which is wrong, and the stated verdicts) and
the mean, 95th percentile and maximum in ms. Math-Verify runs with its own five-second alarms. The last case sends the
completions through our pool, with our grader and with Math-Verify in the same workers, so that the rate is answers per
second and our overhead is what the pool adds to an answer.

Needs the test data beside the checkout (OCTOLAB_TEST_DATA, or ../shared/data).
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import harness

DATA = Path(os.environ.get("OCTOLAB_TEST_DATA") or harness.ROOT.parent / "shared" / "data") / "verifier"
PASSES = 3
WORKERS = 2
Answer = tuple[str, str, str, str | None, bool]  # gold, completion, mode, task, expected


def answers(name: str) -> list[Answer]:
    """The answers of a case."""
    if name == "pairs":
        rows = [json.loads(line) for line in (DATA / "verifier_pairs_dev.jsonl").read_text().splitlines()]
        return [(row["gold"], row["prediction"], row["mode"], row["task"], row["expected"]) for row in rows]
    text = gzip.decompress((DATA / "qwen_math_cot_100x8.jsonl.gz").read_bytes()).decode()
    return [
        (row["gt"], completion, "rl", None, score)
        for row in map(json.loads, text.splitlines())
        for completion, score in zip(row["code"], row["score"], strict=True)
    ]


def measured(items: list[Answer], grade: Callable[[Answer], bool], fresh: Callable[[], None]) -> dict[str, float]:
    """Each answer's best time of the passes, and how many verdicts were right."""
    best = [float("inf")] * len(items)
    right = 0
    for _ in range(PASSES):
        fresh()
        right = 0
        for place, item in enumerate(items):
            begun = time.perf_counter()
            correct = grade(item)
            best[place] = min(best[place], time.perf_counter() - begun)
            right += correct == item[4]
    ordered = sorted(best)
    return {
        "rate": 1 / median(best),
        "right": right,
        "of": len(items),
        "mean_ms": sum(best) / len(best) * 1e3,
        "p95_ms": ordered[int(len(ordered) * 0.95)] * 1e3,
        "max_ms": ordered[-1] * 1e3,
    }


def ours(case: Mapping[str, Any]) -> dict[str, float]:
    from octolab.verify import Verifier, type_gold, verify

    items = answers(case["data"])
    if not case.get("pool"):
        return measured(items, lambda it: verify(it[0], it[1], mode=it[2], task=it[3]).correct, type_gold.cache_clear)
    alone = measured(items, lambda it: verify(it[0], it[1]).correct, lambda: None)["mean_ms"]
    with Verifier(workers=WORKERS) as verifier:
        rate = pooled(verifier, items * 5)
    return {"rate": rate, "in_process_ms": alone, "overhead_ms": WORKERS / rate * 1e3 - alone}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    items = answers(case["data"])
    if case.get("pool"):
        from octolab.verify import Verifier

        with Verifier(workers=WORKERS, grader="octolab.verify.second:math_verify") as verifier:
            return {"rate": pooled(verifier, items)}
    config = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]

    def grade(item: Answer) -> bool:
        return verify(parse(f"\\boxed{{{item[0]}}}"), parse(item[1], extraction_config=config))

    return measured(items, grade, lambda: None)


def pooled(verifier: Any, items: list[Answer]) -> float:
    """Answers a second through a pool, the best of the passes."""
    batch = [item[:4] for item in items]
    verifier.grade(batch[:64])

    def work() -> float:
        return float(len(verifier.grade(batch)))

    return harness.best_rate(work, PASSES)


if __name__ == "__main__":
    if not DATA.exists():
        sys.exit(f"the test data is absent: {DATA} (set OCTOLAB_TEST_DATA)")
    harness.main(
        __file__,
        "Verification on one core: ours and Math-Verify",
        "answers/s",
        [
            {"name": "Qwen transcripts", "data": "qwen", "target": 5.0},
            {"name": "pairs", "data": "pairs"},
            {"name": f"pool of {WORKERS}, Qwen transcripts", "data": "qwen", "pool": True},
        ],
        {"peer": peer, "ours": ours},
    )
