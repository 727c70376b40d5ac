r"""The small world as recipe sources (`make: octolab.lab.world:documents`).

Three kinds of rows, each a pure function of its arguments: `problems` (RL prompts and evaluation sets), `documents`
(question-answer text of several kinds, instructions and prose) and `pages` (noisy HTML for curation). Nothing here
is known to the rest of OctoLab; rows have the columns that any jsonl file would have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from octolab.errors import UserError
from octolab.lab.answers import ANSWERS, carried_out, equation, short, slipped, worked
from octolab.lab.html import page
from octolab.lab.plans import Plans
from octolab.lab.prose import paragraph
from octolab.lab.splits import Levels, Problem, drawn
from octolab.tasks.templates import TEMPLATES

LEVELS: Levels = {"story": (2, 3, 4), "search": (4, 5)}
"""Levels in range."""
LEAKS = 32
"""Leaking pages show one of the first `LEAKS` evaluation problems."""
RUN_ON = (2, 3)
"""Fewest and most questions in a document with bare answers, which therefore runs on after the first."""

Row = dict[str, str]
_PAGE_KINDS = {"worked": 40, "bad": 25, "prose": 12, "duplicate": 10, "leak": 8, "boilerplate": 5}  # percent of pages


def problems(seed: int, n: int, split: str = "train", levels: Levels = LEVELS) -> list[Row]:
    """`n` problems of one split: rows id, question, answer, family, level (`3 moves`, `4 plans`).

    Splits share no problem, names aside. The first k rows of a longer list are the rows of the shorter one.

    Raises:
        UserError: unknown split, family or level, or more questions asked for than the world has.
    """
    return [
        {
            "id": f"lab-{split}-{seed}-{number}",
            "question": problem.question,
            "answer": problem.answer,
            "family": problem.family,
            "level": f"{problem.level} {problem.unit}",
        }
        for number, problem in enumerate(islice(drawn(str(seed), split, levels), n))
    ]


def exemplars(n: int = 4, levels: Levels = LEVELS) -> list[Row]:
    """Few-shot exemplars with short solutions, from the train split: rows id, question, answer, solution."""
    rng = random.Random("octolab.lab/exemplars")
    return [
        {
            "id": f"lab-exemplar-{number}",
            "question": problem.question,
            "answer": problem.answer,
            "solution": short(problem, rng),
        }
        for number, problem in enumerate(islice(drawn("exemplars", "train", levels), n))
    ]


def documents(kind: str, seed: int, n: int, levels: Levels = LEVELS) -> Iterator[Row]:
    """`n` rows {id, text}: kinds `direct`, `short`, `long` (questions and answers), `instruction` and `prose`.

    The three question kinds of one seed show the same train problems in the same order; only the text between
    question and box differs, and that `direct` puts two or three of them into one document.

    Raises:
        UserError: unknown kind or level, or more questions asked for than the world has.
    """
    kinds = [*ANSWERS, "instruction", "prose"]
    if kind not in kinds:
        raise UserError(f"lab: unknown kind {kind!r} of documents; choose one of {', '.join(kinds)}")
    rng = random.Random(f"octolab.lab/documents/{kind}/{seed}")
    texts = _prose(rng) if kind == "prose" else _told(kind, rng, drawn(str(seed), "train", levels))
    return ({"id": f"{kind}-{seed}-{number}", "text": text} for number, text in enumerate(islice(texts, n)))


def _prose(rng: random.Random) -> Iterator[str]:
    while True:
        yield paragraph(rng)


def _told(kind: str, rng: random.Random, stream: Iterator[Problem]) -> Iterator[str]:
    simple = TEMPLATES["simple"]
    while True:
        if kind == "instruction":
            problem = next(stream)
            yield f"User:{problem.question}\nAssistant:{short(problem, rng)}"
            continue
        together = rng.randint(*RUN_ON) if kind == "direct" else 1
        shown = list(islice(stream, together))
        yield "\n\n".join(simple.example(problem.question, ANSWERS[kind](problem, rng)) for problem in shown)


def pages(seed: int, n: int, eval_seed: int = 0, levels: Levels = LEVELS) -> Iterator[Row]:
    """`n` rows {id, html, kind}: noisy web pages.

    `eval_seed` and `levels` must be those of the evaluation set whose problems are to leak.

    Kinds: `worked` (train problems worked out), `bad` (worked out with a mistake in each), `prose`, `duplicate` (an
    earlier page again, byte for byte), `leak` (worked problems with one of the first 32 of
    `problems(eval_seed, n, "eval", levels)` among them) and `boilerplate` (no text of its own).
    """
    rng = random.Random(f"octolab.lab/pages/{seed}")
    train = drawn(f"pages/{seed}", "train", levels)
    leaks = list(islice(drawn(str(eval_seed), "eval", levels), LEAKS))
    earlier: list[str] = []
    for number in range(n):
        kind = rng.choices(list(_PAGE_KINDS), weights=list(_PAGE_KINDS.values()))[0]
        if kind == "duplicate" and not earlier:
            kind = "worked"
        if kind == "duplicate":
            text = rng.choice(earlier)
        elif kind == "boilerplate":
            text = page(rng, "", [])
        else:
            text = page(rng, *_content(kind, rng, train, leaks))
            earlier.append(text)
        yield {"id": f"page-{seed}-{number}", "html": text, "kind": kind}


def _content(
    kind: str, rng: random.Random, train: Iterator[Problem], leaks: Sequence[Problem]
) -> tuple[str, list[str]]:
    if kind == "prose":
        return "A day out", [paragraph(rng) for _ in range(rng.randint(1, 3))]
    shown = list(islice(train, rng.randint(1, 3)))
    if kind == "leak":
        shown.insert(rng.randint(0, len(shown)), rng.choice(leaks))
    lessons = [
        _mistaken(one, rng) if kind == "bad" else f"{one.question} {worked(one)} It is {one.answer}." for one in shown
    ]
    return "Worked out", [paragraph(rng, 1), *lessons]


def _mistaken(problem: Problem, rng: random.Random) -> str:
    """A lesson with a mistake: a plan that misses, or one wrong equation that the rest builds on."""
    if isinstance(problem, Plans):
        plan = rng.choice([plan for plan in range(problem.level) if plan != problem.winner])
        return f"{problem.question} {carried_out(problem, plan)} It is {problem.midway(plan)}."
    told, held = [], problem.start
    wrong = rng.randrange(problem.level)
    for at, move in enumerate(problem.moves):
        after = move.apply(held)
        if at == wrong:
            after = slipped(rng, held, max(after, 0))
        told.append(f"{equation(held, move, after)}.")
        held = after
    return f"{problem.question} {' '.join(told)} It is {held}."
