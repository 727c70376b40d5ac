"""Deduplication: of several equal texts the first is kept, of several nearly equal ones the best.

`exact_dedup` compares texts with runs of white space as one space and passes documents on as they come; its memory is
16 bytes of hash a kept document. `minhash_dedup` must see the whole corpus before it can give the first document: it
spools documents to disk, keeps 88 bytes of band keys a document there too, and holds about 50 bytes a document in
memory. Which document of a cluster is kept depends on the documents alone, not on their order.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from octolab.corpus.document import Document, Dropped, Step, excerpt
from octolab.corpus.minhash import BANDS, ROWS, SHINGLE, band_keys, clusters, signatures
from octolab.store.logs import ZstdJsonLines, read_log

REASON = "duplicate"
NEAR = "near duplicate"
BLOCK = 2048  # documents whose signatures are computed at once


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


def minhash_dedup(bands: int = BANDS, rows: int = ROWS, shingle: int = SHINGLE, quality: str = "score") -> Step:
    """The step: of each cluster of nearly equal documents (see `minhash`) one is kept.

    That is the one with the highest number in the metadata field `quality` (absent counts as 0), then the longest,
    then the one whose id has the smallest hash. The excerpt of a dropped one begins with the kept one's id.
    bands, rows: bands of the signature and entries in each (default 11 x 10). shingle: words of a shingle.
    """

    def step(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
        with tempfile.TemporaryDirectory(prefix="octolab-minhash-") as folder:
            yield from _near_dedup(documents, Path(folder), bands, rows, shingle, quality)

    return step


def _near_dedup(
    documents: Iterable[Document], folder: Path, bands: int, rows: int, shingle: int, quality: str
) -> Iterator[Document | Dropped]:
    spool = ZstdJsonLines(folder / "documents.jsonl.zst")
    ranks: list[np.ndarray] = []
    files = [open(folder / f"band-{band}", "w+b") for band in range(bands)]  # noqa: SIM115 - closed below
    try:
        stream = iter(documents)
        while block := list(islice(stream, BLOCK)):
            spool.append({"id": one.id, "text": one.text, "metadata": dict(one.metadata)} for one in block)
            keys = band_keys(signatures([one.text for one in block], shingle, bands * rows), bands)
            for file, row in zip(files, keys, strict=True):
                file.write(row.tobytes())
            ranks.append(np.array([_rank(one, quality) for one in block], RANK))
        spool.close()
        rank = np.concatenate(ranks) if ranks else np.zeros(0, RANK)
        for file in files:
            file.flush()
        cluster = clusters((np.fromfile(file.name, np.uint64) for file in files), len(rank))
    finally:
        for file in files:
            file.close()
    best = _best(cluster, rank)
    kept_ids = _ids_of(folder / "documents.jsonl.zst", best[best != np.arange(len(best))])
    for number, row in enumerate(read_log(folder / "documents.jsonl.zst") if len(rank) else ()):
        document = Document(row["id"], row["text"], row["metadata"])
        if best[number] == number:
            yield document
        else:
            yield Dropped(NEAR, document.id, excerpt(f"{kept_ids[int(best[number])]}: {document.text}"))


RANK = np.dtype([("quality", np.float64), ("length", np.int64), ("hash", np.uint64)])


def _rank(document: Document, quality: str) -> tuple[float, int, int]:
    """What decides which document of a cluster is kept: smaller is better."""
    value = document.metadata.get(quality)
    number = float(value) if isinstance(value, int | float) else 0.0
    digest = hashlib.blake2b(document.id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -number, -len(document.text), int.from_bytes(digest, "big")


def _best(cluster: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The number of the document kept for each document's cluster. Shape as `cluster`."""
    order = np.lexsort((rank["hash"], rank["length"], rank["quality"], cluster))
    ordered = cluster[order]
    first = np.ones(len(order), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    best = np.empty(len(cluster), np.int64)
    best[order] = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    return best


def _ids_of(spool: Path, numbers: np.ndarray) -> dict[int, str]:
    """Ids of the documents with these numbers."""
    wanted = set(numbers.tolist())
    if not wanted:
        return {}
    return {number: row["id"] for number, row in enumerate(read_log(spool)) if number in wanted}
