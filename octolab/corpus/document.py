"""The unit of the corpus, and what a step does with it.

A step takes documents and gives documents, or a `Dropped` with its reason in place of one it refuses. Nothing
leaves the corpus without a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id; a page that is still HTML has it in `metadata["html"]` and an empty text."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A document refused by a step: a countable reason, the document's id, a short excerpt to look at."""

    reason: str
    id: str
    excerpt: str


Step = Callable[[Iterable[Document]], Iterable[Document | Dropped]]

EXCERPT_CHARACTERS = 160


def excerpt(text: str) -> str:
    """The first characters of a text on one line, safe to store and to print."""
    line = " ".join(text[: 4 * EXCERPT_CHARACTERS].split())[:EXCERPT_CHARACTERS]
    return line.encode("utf-8", "replace").decode("utf-8")
