"""From graded samples to numbers, as pure functions.

Accuracy is the mean over problems of the share of right samples. Its 95% interval is Wilson's with one sample
a problem; with several, problems are the independent units and the interval is mean +- 1.96 standard errors
over their means. pass@k is the unbiased estimator of `tasks.pass_at_k`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from octolab.tasks.pass_at_k import pass_at_k, pass_ks

Z95 = 1.959963984540054
"""97.5% point of the normal distribution."""


def interval95(correct_by_problem: Sequence[int], samples: int) -> tuple[float, float]:
    """95% interval of the accuracy, within [0, 1].

    Args:
        correct_by_problem: right samples of each problem.
        samples: samples of each problem.
    """
    shares = np.asarray(correct_by_problem, dtype=np.float64) / samples
    count, p = len(shares), float(shares.mean())
    if samples == 1 or count == 1:
        centre = (p + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
        half = Z95 / (1 + Z95**2 / count) * math.sqrt(p * (1 - p) / count + Z95**2 / (4 * count**2))
    else:
        centre, half = p, Z95 * float(shares.std(ddof=1)) / math.sqrt(count)
    return max(0.0, centre - half), min(1.0, centre + half)


def set_scores(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of one set from its sample records (see `runner`).

    Raises:
        ValueError: problems have different numbers of samples: the log is not whole.
    """
    records = list(records)
    by_problem: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        by_problem[record["problem_id"]].append(record)
    counts = {len(group) for group in by_problem.values()}
    if len(counts) != 1:
        raise ValueError(f"problems have {sorted(counts)} samples; all must have the same number")
    samples = counts.pop()
    right = [sum(record["correct"] for record in group) for group in by_problem.values()]
    lengths = np.array([record["tokens"] for record in records], dtype=np.float64)
    correct = np.array([record["correct"] for record in records], dtype=bool)
    low, high = interval95(right, samples)
    return {
        "acc": float(np.mean(right) / samples),
        "ci95": [low, high],
        "n": len(by_problem),
        "samples": samples,
        "length": float(lengths.mean()),
        "length_correct": float(lengths[correct].mean()) if correct.any() else None,
        "truncation": share(records, "finish", "length"),
        "no_answer": share(records, "verdict", "no_answer"),
        "unparsed": share(records, "verdict", "unparsed"),
        "timeouts": share(records, "verdict", "timeout"),
        "errors": share(records, "verdict", "error"),
        "pass_at": {str(k): float(np.mean([pass_at_k(samples, c, k) for c in right])) for k in pass_ks(samples)},
        "by_family": by_field(records, "family"),
        "by_level": by_field(records, "level"),
    }


def share(records: Sequence[Mapping[str, Any]], field: str, value: str) -> float:
    """Share of records whose field has the value."""
    return sum(record[field] == value for record in records) / len(records)


def by_field(records: Sequence[Mapping[str, Any]], field: str) -> dict[str, dict[str, float]]:
    """Accuracy and number of problems for each value of a field, where records have it."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record.get(field) is not None:
            groups[str(record[field])].append(record)
    return {
        name: {
            "acc": sum(record["correct"] for record in group) / len(group),
            "n": len({record["problem_id"] for record in group}),
        }
        for name, group in sorted(groups.items())
    }
