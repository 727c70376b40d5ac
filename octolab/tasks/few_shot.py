r"""Few-shot prompts for base models, which know no instruction.

In go worked problems and a question, out comes one text: the exemplars as the template writes training examples,
each ending in `\boxed{}`, then the question. A base model runs on and invents the next question, so the frame's
own beginning of a question is the stop string.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

from octolab.errors import UserError
from octolab.tasks.named import choose_or_import
from octolab.tasks.problems import Problem, boxed_solution, problem_from_row
from octolab.tasks.templates import Template

SEPARATOR = "\n\n"

_WORDS = ("gsm", "gsm8k", "gsm8k_train", "svamp", "asdiv", "mawps", "tabmwp")
_LATEX = ("math", "math500", "math8k", "olympiad_bench", "amc23", "aime24", "aime25")
SHIPPED = {**dict.fromkeys(_WORDS, "gsm"), **dict.fromkeys(_LATEX, "math")}
"""Benchmark (or exemplar set) to the file of exemplars that is shipped for it."""


def few_shot_prompt(exemplars: Sequence[Problem], question: str, shots: int, template: Template) -> str:
    r"""The first `shots` exemplars and the question; with no shots it is the bare template.

    Raises:
        UserError: `shots` is negative or more than there are exemplars.
    """
    if not 0 <= shots <= len(exemplars):
        raise UserError(f"shots={shots} is not between 0 and {len(exemplars)}, the number of exemplars")
    shown = [
        template.example(exemplar.question, boxed_solution(exemplar.solution, exemplar.answer))
        for exemplar in exemplars[:shots]
    ]
    return SEPARATOR.join([*shown, template.render(question)])


def few_shot_stops(template: Template) -> tuple[str, ...]:
    r"""Strings that end a few-shot completion: the next question's marker (`\n\nQuestion:`) and the template's.

    The marker is the first line of what the template puts before a question; a template that puts nothing there
    has none, for an empty line alone also stands inside solutions.
    """
    mark = "\x00"
    opening = template.render(mark).partition(mark)[0].lstrip("\n")
    if not opening:
        return template.stop_strings
    return (SEPARATOR + opening.split("\n")[0], *template.stop_strings)


def exemplars_for(name: str) -> list[Problem]:
    """Exemplars for a benchmark (or the shipped sets `gsm`, `math`), or rows of the user's own `module:function`.

    Raises:
        UserError: no exemplars are known for the name; the message names the nearest.
        ValueError: a row of the user's own is not a problem.
    """
    found = choose_or_import(name, SHIPPED, "exemplars")
    if isinstance(found, str):
        return list(_shipped(found))
    rows = found() if callable(found) else found
    return [problem_from_row(row, f"exemplar-{number}") for number, row in enumerate(rows)]


@cache
def _shipped(name: str) -> tuple[Problem, ...]:
    text = resources.files("octolab.tasks").joinpath("exemplars", f"{name}.jsonl").read_text("utf-8")
    return tuple(problem_from_row(json.loads(line), name) for line in text.splitlines())
