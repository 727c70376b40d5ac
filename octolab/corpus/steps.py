"""Running steps one after another, and counting what each lets through.

In go documents and named steps, out come the documents that passed them all and the counts that the curate summary
shows: in, out, dropped by reason with a few examples. Whatever a step does, a document that comes out of it empty
or undecodable is dropped here, under that step's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from octolab.corpus.decontaminate import decontaminate
from octolab.corpus.deduplicate import exact_dedup, minhash_dedup
from octolab.corpus.document import Document, Dropped, Step, excerpt
from octolab.corpus.extract import extract
from octolab.corpus.language import language
from octolab.corpus.urls import url_filter
from octolab.errors import UserError, hint
from octolab.tasks.named import choose_or_import

EXAMPLES_KEPT = 5
READ = "read"
"""Name under which the documents that arrive already empty or undecodable are counted."""

EMPTY = "empty"
UNDECODABLE = "undecodable text"

STEPS: dict[str, Callable[..., Step]] = {
    "url_filter": url_filter,
    "extract": extract,
    "language": language,
    "exact_dedup": exact_dedup,
    "minhash_dedup": minhash_dedup,
    "decontaminate": decontaminate,
}


@dataclass
class Count:
    """What one step did: documents in and out, dropped by reason, the first five examples of each reason."""

    name: str
    taken: int = 0
    passed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Dropped]] = field(default_factory=dict)

    def drop(self, dropped: Dropped) -> None:
        """Count one refusal."""
        self.dropped[dropped.reason] = self.dropped.get(dropped.reason, 0) + 1
        kept = self.examples.setdefault(dropped.reason, [])
        if len(kept) < EXAMPLES_KEPT:
            kept.append(dropped)


@dataclass
class StepCounts:
    """The counts of all steps in order; complete once the documents have been drawn to the end."""

    steps: list[Count]

    def summary(self) -> list[dict[str, Any]]:
        """The `steps` of a curate summary: name, in, out, dropped, examples; reasons in sorted order."""
        return [
            {
                "name": count.name,
                "in": count.taken,
                "out": count.passed,
                "dropped": dict(sorted(count.dropped.items())),
                "examples": {
                    reason: [{"id": one.id, "excerpt": one.excerpt} for one in kept]
                    for reason, kept in sorted(count.examples.items())
                },
            }
            for count in self.steps
        ]


def run_steps(
    documents: Iterable[Document], steps: Sequence[tuple[str, Step]]
) -> tuple[Iterator[Document], StepCounts]:
    """Documents through all steps, lazily; the counts fill as the iterator is drawn.

    The first count is called `read` and holds what was unusable before any step.
    """
    chain = [(READ, _nothing), *steps]
    counts = StepCounts([Count(name) for name, _ in chain])
    stream: Iterator[Document] = iter(documents)
    for (_, step), count in zip(chain, counts.steps, strict=True):
        stream = _counted(step, stream, count)
    return stream, counts


def build_step(name: str, **args: Any) -> Step:
    """A step by name or the user's own factory `module:function`, with its arguments.

    `decontaminate` needs `problems`, a dict of set name to problems, from the caller.

    Raises:
        UserError: unknown step or argument (with the nearest known one), or a required argument is missing.
    """
    factory = choose_or_import(name, STEPS, "corpus step")
    try:
        signature(factory).bind(**args)
    except TypeError as error:
        known = signature(factory).parameters
        for word in args:
            if word not in known:
                advice = hint(word, known) or "; it takes none"
                raise UserError(f"corpus step {name!r} has no argument {word!r}{advice}") from error
        raise UserError(f"corpus step {name!r}: {error}; give it in the step's arguments") from error
    return factory(**args)


def defect(document: Document) -> str | None:
    """Why a document cannot be used at all: nothing in it, or text that no file could hold; None if it can.

    Text is undecodable if it holds lone surrogates (half of a character) or if more than a tenth of it is U+FFFD,
    the mark that decoders leave for bytes they did not understand.
    """
    text = _content(document)
    if not text.strip():
        return EMPTY
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return UNDECODABLE
    return UNDECODABLE if text.count("\ufffd") * 10 > len(text) else None


def _content(document: Document) -> str:
    """The page where there still is one, else the text."""
    page = document.metadata.get("html")
    return document.text if page is None else page


def _counted(step: Step, documents: Iterator[Document], count: Count) -> Iterator[Document]:
    def taken() -> Iterator[Document]:
        for document in documents:
            count.taken += 1
            yield document

    for item in step(taken()):
        if isinstance(item, Dropped):
            count.drop(item)
            continue
        reason = defect(item)
        if reason:
            count.drop(Dropped(reason, item.id, excerpt(_content(item))))
            continue
        count.passed += 1
        yield item


def _nothing(documents: Iterable[Document]) -> Iterable[Document | Dropped]:
    return documents
