"""The verifier on real pairs, real golds and real graded transcripts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from octolab.verify import gold_audit, verify

# Categories whose `must` pairs the present comparators claim in full; the others are refused, never guessed.
CLAIMED = {"number", "separators", "percent", "tuple", "choice", "text", "base", "extraction", "fewshot", "attack"}


def rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def test_pairs(test_data: Path) -> None:
    accepted, rejected = [], []
    for row in rows(test_data / "verifier" / "verifier_pairs_dev.jsonl"):
        graded = verify(row["gold"], row["prediction"], mode=row["mode"], task=row["task"])
        if graded.correct and not row["expected"]:
            accepted.append(row["id"])
        if row["expected"] and not graded.correct and row["level"] == "must" and row["category"] in CLAIMED:
            rejected.append(row["id"])
    assert (accepted, rejected) == ([], [])


def test_every_gsm8k_gold_matches_itself(test_data: Path) -> None:
    golds = [row["answer"] for row in rows(test_data / "benchmarks" / "gsm8k" / "test.jsonl")]
    assert len(golds) == 1319
    assert gold_audit(golds) == []


def test_every_math500_gold_matches_itself(test_data: Path) -> None:
    golds = [row["answer"] for row in rows(test_data / "benchmarks" / "math500" / "test.jsonl")]
    assert len(golds) == 500
    assert gold_audit(golds) == []


def test_agreement_with_graded_gsm8k_solutions(test_data: Path) -> None:
    disagree, total = 0, 0
    for row in rows(test_data / "verifier" / "gsm8k_model_solutions.jsonl.gz"):
        gold = row["ground_truth"].rpartition("A: ")[2]
        for attempt in row.values():
            if isinstance(attempt, dict):
                graded = verify(gold, attempt["solution"], mode="eval", task="gsm8k")
                disagree += graded.correct != attempt["is_correct"]
                total += 1
    assert (disagree, total) == (0, 5276)


def test_agreement_with_graded_math_transcripts(test_data: Path) -> None:
    disagree = [
        (row["idx"], sample)
        for row in rows(test_data / "verifier" / "qwen_math_cot_100x8.jsonl.gz")
        for sample, (completion, score) in enumerate(zip(row["code"], row["score"], strict=True))
        if verify(row["gt"], completion).correct != score
    ]
    assert disagree == [(72, 7)]  # mislabelled: gold 10{,}000, box 10000
