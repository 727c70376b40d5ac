r"""The small world as recipe sources (`make: octolab.lab.world:documents`).

Three kinds of rows, each a pure function of its arguments: `problems` (RL prompts and evaluation sets), `documents`
(question-answer text of several kinds and prose) and `pages` (noisy HTML for curation). Nothing here is known to
the rest of OctoLab; rows have the columns that any jsonl file would have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice

from octolab.errors import UserError
from octolab.lab.answers import ANSWERS, short
from octolab.lab.arithmetic import Story, stories
from octolab.lab.html import page
from octolab.lab.prose import paragraph
from octolab.tasks.templates import TEMPLATES

LEVELS = (1, 2, 3)
LEAKS = 32
"""Leaking pages show one of the first `LEAKS` evaluation problems."""

Row = dict[str, str]
_PAGE_KINDS = {"worked": 60, "prose": 15, "duplicate": 12, "leak": 8, "boilerplate": 5}  # percent of pages


def problems(seed: int, n: int, split: str = "train", levels: Sequence[int] = LEVELS) -> list[Row]:
    """`n` problems of one split: rows id, question, answer, family, level (number of moves, 1 to 3).

    Splits share no problem, names aside. The first k rows of a longer list are the rows of the shorter one.

    Raises:
        UserError: unknown split or level, or more questions asked for than the world has.
    """
    return [
        {
            "id": f"lab-{split}-{seed}-{number}",
            "question": story.question,
            "answer": str(story.answer),
            "family": story.family,
            "level": str(len(story.moves)),
        }
        for number, story in enumerate(islice(stories(str(seed), split, levels), n))
    ]


def exemplars(n: int = 4) -> list[Row]:
    """Few-shot exemplars with short solutions, from the train split: rows id, question, answer, solution."""
    rng = random.Random("octolab.lab/exemplars")
    return [
        {
            "id": f"lab-exemplar-{number}",
            "question": story.question,
            "answer": str(story.answer),
            "solution": short(story, rng),
        }
        for number, story in enumerate(islice(stories("exemplars", "train", LEVELS), n))
    ]


def documents(kind: str, seed: int, n: int, levels: Sequence[int] = LEVELS) -> Iterator[Row]:
    """`n` rows {id, text}: kinds `direct`, `short`, `long` (questions and answers) and `prose`.

    The three question kinds of one seed show the same train problems in the same order; only the text between
    question and box differs.

    Raises:
        UserError: unknown kind or level, or more questions asked for than the world has.
    """
    if kind != "prose" and kind not in ANSWERS:
        raise UserError(f"lab: unknown kind {kind!r} of documents; choose one of {', '.join(ANSWERS)}, prose")
    return _documents(kind, seed, n, levels)


def _documents(kind: str, seed: int, n: int, levels: Sequence[int]) -> Iterator[Row]:
    rng = random.Random(f"octolab.lab/documents/{kind}/{seed}")
    if kind == "prose":
        for number in range(n):
            yield {"id": f"prose-{seed}-{number}", "text": paragraph(rng)}
        return
    for number, story in enumerate(islice(stories(str(seed), "train", levels), n)):
        yield {"id": f"{kind}-{seed}-{number}", "text": _told(story, ANSWERS[kind](story, rng))}


def pages(seed: int, n: int, eval_seed: int = 0, levels: Sequence[int] = LEVELS) -> Iterator[Row]:
    """`n` rows {id, html, kind}: noisy web pages.

    `eval_seed` and `levels` must be those of the evaluation set whose problems are to leak.

    Kinds: `worked` (train problems worked out), `prose`, `duplicate` (an earlier page again, byte for byte),
    `leak` (worked problems with one of the first 32 of `problems(eval_seed, n, "eval", levels)` among them) and
    `boilerplate` (no text of its own).
    """
    rng = random.Random(f"octolab.lab/pages/{seed}")
    train = stories(f"pages/{seed}", "train", levels)
    leaks = list(islice(stories(str(eval_seed), "eval", levels), LEAKS))
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


def _content(kind: str, rng: random.Random, train: Iterator[Story], leaks: Sequence[Story]) -> tuple[str, list[str]]:
    if kind == "prose":
        return "A day out", [paragraph(rng) for _ in range(rng.randint(1, 3))]
    shown = list(islice(train, rng.randint(1, 3)))
    if kind == "leak":
        shown.insert(rng.randint(0, len(shown)), rng.choice(leaks))
    lessons = [f"{story.question} {short(story, rng)}" for story in shown]
    return "Sums worked out", [paragraph(rng, 1), *lessons]


def _told(story: Story, answer: str) -> str:
    return TEMPLATES["simple"].example(story.question, answer)
