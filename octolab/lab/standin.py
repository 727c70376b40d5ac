"""Stand-in rows in the schemas of the paper's data sets, for rehearsing a recipe with `--miniature`.

In goes a converter's name, out come rows with the columns that it reads, filled with this world's stories. They
teach nothing; they show that a recipe's plumbing works.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from octolab.lab.answers import ANSWERS
from octolab.lab.prose import paragraph
from octolab.lab.splits import Problem, drawn

Row = dict[str, Any]
_LEVELS = {"story": (1, 2, 3)}


def rows(convert: str, name: str, n: int) -> Iterator[Row]:
    """`n` rows for a converter; one that is unknown gets rows of plain text."""
    rng = random.Random(json.dumps(["standin", convert, name]))
    make = SCHEMAS.get(convert, _web)
    for number, story in enumerate(islice(drawn(f"standin/{name}", "train", _LEVELS), n)):
        yield {"id": f"{name}-{number}"} | make(story, rng)


def problem_rows(name: str, n: int) -> list[Row]:
    """`n` problems of the evaluation split, or, for names that say train or are prompts, of the RL split."""
    split = "rl" if "train" in name or name == "math8k" else "eval"
    shown = islice(drawn(f"standin/{name}", split, _LEVELS), n)
    return [
        {
            "id": f"{name}-{number}",
            "question": story.question,
            "answer": story.answer,
            "solution": ANSWERS["short"](story, random.Random(number)),
        }
        for number, story in enumerate(shown)
    ]


def _web(story: Problem, rng: random.Random) -> Row:
    return {"text": f"{paragraph(rng)}\n\n{story.question}\n{ANSWERS['short'](story, rng)}\n\n{paragraph(rng)}"}


def _short(story: Problem, rng: random.Random) -> Row:
    return {"problem": story.question, "solution": ANSWERS["short"](story, rng), "answer": story.answer}


def _long(story: Problem, rng: random.Random) -> Row:
    trace = f"<think>\n{ANSWERS['long'](story, rng)}\n</think>\n\\boxed{{{story.answer}}}"
    messages = [{"role": "user", "content": story.question}, {"role": "assistant", "content": trace}]
    return {"problem": story.question, "answer": story.answer, "messages": messages, "generations": [trace]}


def _instruction(story: Problem, rng: random.Random) -> Row:
    answer = ANSWERS["short"](story, rng)
    return {"messages": [{"role": "user", "content": story.question}, {"role": "assistant", "content": answer}]}


def _gsm8k(story: Problem, rng: random.Random) -> Row:
    return {"question": story.question, "answer": f"{ANSWERS['short'](story, rng)}\n#### {story.answer}"}


SCHEMAS: dict[str, Callable[[Problem, random.Random], Row]] = {
    "web": _web,
    "short_cot": _short,
    "long_cot": _long,
    "instruction": _instruction,
    "gsm8k_short": _gsm8k,
    "gsm8k_bare": _gsm8k,
}
