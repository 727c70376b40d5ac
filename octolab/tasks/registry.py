"""Problem sets known by name, and problems from rows.

In goes a name, out comes where the set lives on the hub; in go rows, out come `Problem`s and a count of the rows
that were no problems, by reason. A recipe may replace any set with `data.<name>.path`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from octolab.errors import UserError
from octolab.tasks.named import choose
from octolab.tasks.problems import Problem, problem_from_row
from octolab.tasks.rows import BadCounts


@dataclass(frozen=True, slots=True)
class DataSet:
    """Where a named set lives; `revision` None means the hub's current one, resolved when the run starts."""

    name: str
    hub_id: str
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    data_files: str | None = None
    """File inside the hub repository, for repositories that are folders of files without configurations."""


DATA_SETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet("gsm8k", "openai/gsm8k", "main", "test"),
        DataSet("gsm8k_train", "openai/gsm8k", "main", "train"),
        DataSet("math500", "HuggingFaceH4/MATH-500", None, "test"),
        DataSet(
            "math8k",
            "hkust-nlp/SimpleRL-Zoo-Data",
            None,
            "train",
            data_files="simplelr_qwen_level3to5/train.parquet",
        ),
    )
}


def data_set(name: str) -> DataSet:
    """The set of that name.

    Raises:
        UserError: no such set; the message names the nearest one.
    """
    return choose(name, DATA_SETS, "data set")


def load_problems(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[list[Problem], BadCounts]:
    """Problems in row order; a row without an id is called `<name>-<row number>`, a repeated id gets `~2`, `~3`.

    Raises:
        UserError: not one row is a usable problem.
    """
    problems: list[Problem] = []
    bad = BadCounts()
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        fallback_id = f"{name}-{number}"
        try:
            problem = problem_from_row(row, fallback_id)
        except ValueError as error:
            bad.add(str(error), fallback_id)
            continue
        seen[problem.id] = seen.get(problem.id, 0) + 1
        if seen[problem.id] > 1:
            unique = f"{problem.id}~{seen[problem.id]}"
            problem = Problem(unique, problem.question, problem.answer, problem.solution, problem.metadata)
        problems.append(problem)
    if not problems:
        reason = f"; first reason: {next(iter(bad.counts))}" if bad.counts else ""
        raise UserError(
            f"data set {name!r} has no usable problem in {bad.total} rows{reason};"
            " give rows with a question and an answer"
        )
    return problems, bad
