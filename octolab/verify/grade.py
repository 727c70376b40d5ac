"""Grade one completion against its gold, and audit the golds of a data set.

`verify` puts the parts together: type the gold, extract the answer, compare. It is pure and its cost is bounded
by the text's length, so it may be called in process; the pool (`Verifier`) adds a deadline and isolation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter
from typing import Any

from octolab.verify.compare import MAX_ANSWER, compare, type_gold
from octolab.verify.extract import WORD_PROBLEMS, extract
from octolab.verify.shapes import NUMBERS
from octolab.verify.verdict import Verdict

MODES = ("rl", "eval")
TOLERANCES = {"ocw": Fraction(1, 100)}  # benchmarks graded by relative error (Lewkowycz et al. 2022)


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown verifier mode {mode!r}; the modes are {', '.join(MODES)}")


@dataclass(frozen=True, slots=True)
class Item:
    """One answer to grade: the arguments of `verify`, checked when it is made (TypeError, ValueError)."""

    gold: str
    completion: str
    mode: str = "rl"
    task: str | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.gold, str) and isinstance(self.completion, str)):
            raise TypeError("gold and completion must be strings")
        _check_mode(self.mode)

    @classmethod
    def of(cls, item: Item | tuple[Any, ...] | Mapping[str, Any]) -> Item:
        """From an Item, a tuple in the order of the fields, or a mapping by their names."""
        if isinstance(item, Item):
            return item
        return cls(**item) if isinstance(item, Mapping) else cls(*item)


def verify(gold: str, completion: str, *, mode: str = "rl", task: str | None = None) -> Verdict:
    r"""Is the answer of `completion` the gold answer?

    gold: the reference answer alone, as text or LaTeX. completion: what the model wrote, without the prompt.
    mode: `rl` reads the last balanced `\boxed{}` after any `</think>` and nothing else; `eval` falls back to an
    answer phrase and, for the word-problem tasks of `extract.ADAPTERS`, to the last number. task: the
    benchmark's name, used in `eval` only.

    Returns a `Verdict`; an empty gold gives `error`, an empty or missing answer `no_answer`, never `correct`.
    Raises ValueError for an unknown mode.
    """
    _check_mode(mode)
    start = perf_counter()
    typed = type_gold(gold)
    if typed.kind == "empty":
        return Verdict("error", None, typed.kind, "the gold answer is empty", _ms_since(start))
    # "The answer is yes": a word problem whose answer is no number is read as any other text.
    named = task not in WORD_PROBLEMS or typed.kind in NUMBERS
    span, found = extract(completion, mode, task if named else None)
    if span is None:
        return Verdict("no_answer", None, typed.kind, found, _ms_since(start))
    verdict, method = compare(typed, span, TOLERANCES.get(task or ""))
    if verdict != "correct":
        span = span[:MAX_ANSWER]
    return Verdict(verdict, span.strip(), typed.kind, f"{found}/{method}", _ms_since(start))


def _ms_since(start: float) -> float:
    return (perf_counter() - start) * 1e3


@dataclass(frozen=True, slots=True)
class BadGold:
    """A gold that cannot be matched: its position in the data, its text, and what came of grading it."""

    index: int
    gold: str
    verdict: Verdict


def gold_audit(golds: Iterable[str], mode: str = "rl") -> list[BadGold]:
    """Golds that do not verify against their own boxed form: no completion could be right about them.

    Run it when a data set is loaded and leave the rows it names out of training.
    """
    graded = ((index, gold, verify(gold, f"\\boxed{{{gold}}}", mode=mode)) for index, gold in enumerate(golds))
    return [BadGold(index, gold, verdict) for index, gold, verdict in graded if not verdict.correct]
