"""Exact deduplication: of several equal texts the first is kept.

In go documents, out come those whose text has not been seen; runs of white space count as one space. The memory is
16 bytes of hash a kept document, so a hundred million documents fit where their texts would not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from octolab.corpus.document import Document, Dropped, Step, excerpt

REASON = "duplicate"


def exact_dedup() -> Step:
    """The step; each run of it remembers only what it saw itself."""
    return _exact_dedup


def _exact_dedup(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
    seen: set[bytes] = set()
    for document in documents:
        fingerprint = text_hash(document.text)
        if fingerprint in seen:
            yield Dropped(REASON, document.id, excerpt(document.text))
            continue
        seen.add(fingerprint)
        yield document


def text_hash(text: str) -> bytes:
    """128-bit hash of a text with every run of white space as one space."""
    normal = " ".join(text.split())
    return hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()
