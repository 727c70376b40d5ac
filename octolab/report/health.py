"""Signs that RL went wrong, read from its logs.

The failure modes are those of the OctoThinker runs: answers that open with a box and ramble on, repetition up
to the response cap, length explosion, and sudden collapse; and the one every GRPO run shares, groups without a
gradient. Each reading is a number with a plain limit, so that the reader may disagree with the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from octolab.report.text import number

EDGE = 5
"""Steps averaged at either end of a run."""

WEIGHT = 0.5
"""Weight of the newest value in the moving average (the paper's curves use 0.5)."""

ENOUGH_TO_FALL = 0.1
"""Best accuracy below which a fall is noise."""

Record = dict[str, Any]


def series(metrics: list[Record], name: str) -> list[float | None]:
    """One value a step, None where the metric is absent or not finite."""
    return [number(row.get(name)) for row in metrics]


def smoothed(values: list[float | None], weight: float = WEIGHT) -> list[float | None]:
    """Exponential moving average; gaps stay gaps and do not move it."""
    out: list[float | None] = []
    state: float | None = None
    for value in values:
        if value is not None:
            state = value if state is None else weight * value + (1 - weight) * state
        out.append(None if value is None else state)
    return out


def mean(values: list[float | None]) -> float | None:
    """Mean of what is there, None if nothing is."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def ends(metrics: list[Record], name: str) -> tuple[float | None, float | None]:
    """Mean over the first and over the last five steps."""
    values = series(metrics, name)
    return mean(values[:EDGE]), mean(values[-EDGE:])


@dataclass(frozen=True)
class Sign:
    """A failure mode, how it is read, and from where on it is worth a look."""

    id: str
    title: str
    meaning: str
    limit: float
    percent: bool


SIGNS = (
    Sign(
        "collapse", "fall from its best", "smoothed accuracy at the end, below its best by this share of it", 0.2, True
    ),
    Sign("at_cap", "cut off at the cap", "answers that reached the response cap, last five steps", 0.5, True),
    Sign("repetition", "repetition", "4-grams already seen in the same answer, last five steps", 0.5, True),
    Sign("longer", "length explosion", "mean length of all answers, last over first five steps", 3.0, False),
    Sign("no_gradient", "groups without gradient", "groups all right or all wrong, last five steps", 0.9, True),
    Sign(
        "early_box", "box first, then on", "answers of the last step that close a box in their first tenth", 0.5, True
    ),
)


def signs(metrics: list[Record], last_step: list[Record]) -> dict[str, float | None]:
    """Sign id -> reading (a share, or a ratio for `longer`), None where the logs do not say."""
    first_length, last_length = ends(metrics, "length/all")
    mixed = ends(metrics, "groups/mixed")[1]
    return {
        "collapse": _fall(series(metrics, "accuracy")),
        "at_cap": ends(metrics, "truncated")[1],
        "repetition": ends(metrics, "repetition")[1],
        "longer": last_length / first_length if first_length and last_length is not None else None,
        "no_gradient": None if mixed is None else 1.0 - mixed,
        "early_box": mean([_early_box(str(r.get("text") or "")) for r in last_step]),
    }


def _fall(accuracy: list[float | None]) -> float | None:
    """Share of its best that the smoothed accuracy has lost; None for a model that never had much to lose."""
    curve = [value for value in smoothed(accuracy) if value is not None]
    return 1.0 - curve[-1] / max(curve) if curve and max(curve) >= ENOUGH_TO_FALL else None


def _early_box(text: str) -> float:
    opened = text.find("\\boxed")
    closed = text.find("}", opened) if opened >= 0 else -1
    return float(0 <= closed < 0.1 * len(text))
