"""Shards: a source as packed token rows on disk, read back by memory map.

In go documents (id, text) and a tokenizer; out come four files and a manifest that describes them:

    tokens.bin      every stored piece, one after the other (uint16, or uint32 for vocabularies over 65,536)
    doc_ends.bin    cumulative token count after each piece (uint64)
    row_ends.bin    cumulative piece count after each row (uint64)
    heldout.jsonl   {"id", "text"} of the documents kept out of training, for bits per byte
    manifest.json   counts, dtype, tokenizer hash, sizes; written last, so a folder without it is unfinished

A stored document is [BOS if the tokenizer adds one] text EOS; one longer than a row is stored as several
pieces. Pieces lie in packed order, so a row is one contiguous slice of tokens, and row r holds the pieces
row_ends[r-1] .. row_ends[r]. All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from octolab.errors import UserError
from octolab.store.atomic import disk_errors, write_json, write_text
from octolab.tokens.packing import WINDOW, cut, pack
from octolab.tokens.tokenizer import Tokenizer

FORMAT = 1
HELDOUT_ONE_IN = 50
BATCH_CHARACTERS = 8_000_000
"""Text encoded at once: bounds memory to some hundred MB whatever the documents' lengths."""
CHECK_TOKENS = 1 << 24
"""Tokens that `Shards.check` looks at in one go (64 to 128 MB)."""
BAD_IDS_KEPT = 5
"""Ids of bad documents that the manifest names per reason."""


@dataclass(frozen=True)
class Batch:
    """Rows of a shard, padded to the row length.

    ids: [B, T] int64, padded with the eos id.
    doc_index: [B, T] int32, number of the document within its row from 0; -1 on padding.
    """

    ids: np.ndarray
    doc_index: np.ndarray


def write_shards(
    folder: Path,
    documents: Iterable[tuple[str, str]],
    tokenizer: Tokenizer,
    row_length: int,
    *,
    source: str,
    heldout: int = 64,
) -> dict[str, Any]:
    """Write `documents` (id, text) as shards of rows of `row_length` tokens into the fresh `folder`.

    Memory is bounded by a batch of text and a window of documents. About one document in 50, chosen by a
    hash of its id and at most `heldout`, is kept out of training. Empty texts, texts that are no strings or
    no valid Unicode (lone surrogates) are counted under "bad" and left out.

    Returns the stage summary: source, documents, tokens, bytes (UTF-8, of training text), rows,
    padding_fraction, heldout_documents, bad {reason: count}.
    Raises UserError when row_length < 2 and when no document is left to train on.
    """
    if row_length < 2:
        raise UserError(f"sequence_length {row_length} of source {source!r} is too short: set it to 2 or more")
    folder = Path(folder)
    names = ("tokens.bin", "doc_ends.bin", "row_ends.bin")
    intake = _Intake(documents, heldout)
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    with ExitStack() as stack:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "manifest.json").unlink(missing_ok=True)
            # unbuffered: a window is one large write, and closing after a full disk has nothing left to fail on
            files = [stack.enter_context(open(folder / name, "wb", buffering=0)) for name in names]
        writer = _RowWriter(folder, files, dtype, tokenizer.vocab_size, row_length)
        for texts in intake.batches():
            for ids in tokenizer.document_ids_batch(texts):
                writer.add(np.asarray(ids, dtype=dtype))
        writer.flush(last=True)
        with disk_errors(folder):
            for file in files:
                os.fsync(file.fileno())
    if not intake.documents:
        raise UserError(_nothing_to_train_on(source, intake))
    held = "".join(json.dumps({"id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in intake.heldout)
    write_text(folder / "heldout.jsonl", held)
    summary: dict[str, Any] = {
        "source": source,
        "documents": intake.documents,
        "tokens": writer.tokens,
        "bytes": intake.bytes,
        "rows": writer.rows,
        "padding_fraction": 1 - writer.tokens / (writer.rows * row_length),
        "heldout_documents": len(intake.heldout),
        "bad": dict(intake.bad),
    }
    manifest = {
        "format": FORMAT,
        **summary,
        "bad_ids": intake.bad_ids,
        "pieces": writer.pieces,
        "row_length": row_length,
        "dtype": dtype.name,
        "vocab_size": tokenizer.vocab_size,
        "bos_id": tokenizer.bos_id,
        "eos_id": tokenizer.eos_id,
        "tokenizer_hash": tokenizer.hash,
        "file_bytes": {name: (folder / name).stat().st_size for name in (*names, "heldout.jsonl")},
    }
    write_json(folder / "manifest.json", manifest)
    return summary


class Shards:
    """A finished shard folder, opened read-only; nothing is read before it is asked for.

    Attributes: folder; manifest (dict); rows, tokens, documents (int, training only); row_length; bos_id,
    eos_id; vocab_size and tokenizer_hash of the tokenizer that wrote it; source ("" until the manifest is read).
    """

    source: str = ""

    def __init__(self, folder: str | Path) -> None:
        """Raises UserError naming the file when the folder is unfinished or a file is missing or torn."""
        self.folder = Path(folder)
        self.manifest = self._read_manifest()
        self.source = self.manifest["source"]
        self.rows: int = self.manifest["rows"]
        self.tokens: int = self.manifest["tokens"]
        self.documents: int = self.manifest["documents"]
        self.row_length: int = self.manifest["row_length"]
        self.bos_id: int | None = self.manifest["bos_id"]
        self.eos_id: int = self.manifest["eos_id"]
        self.vocab_size: int = self.manifest["vocab_size"]
        self.tokenizer_hash: str = self.manifest["tokenizer_hash"]
        for name, size in self.manifest["file_bytes"].items():
            self._check_size(name, size)
        self._ids = self._open("tokens.bin", np.dtype(self.manifest["dtype"]).newbyteorder("<"), self.tokens)
        self._doc_ends = self._open("doc_ends.bin", np.dtype("<u8"), self.manifest["pieces"])
        self._row_ends = self._open("row_ends.bin", np.dtype("<u8"), self.rows)
        if int(self._doc_ends[-1]) != self.tokens:
            raise UserError(
                self._torn("doc_ends.bin", f"its last document ends at token {self._doc_ends[-1]}, not {self.tokens}")
            )
        if int(self._row_ends[-1]) != len(self._doc_ends):
            raise UserError(
                self._torn(
                    "row_ends.bin", f"its last row ends at piece {self._row_ends[-1]}, not {len(self._doc_ends)}"
                )
            )

    def row(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        """Row `r`: its ids [N <= row_length] int64 and the lengths [D] int64 of the D documents in it."""
        assert 0 <= r < self.rows, (r, self.rows)
        first = int(self._row_ends[r - 1]) if r else 0
        ends = self._doc_ends[first : int(self._row_ends[r])].astype(np.int64)
        start = int(self._doc_ends[first - 1]) if first else 0
        lengths = np.diff(ends, prepend=start)
        if lengths.size == 0 or lengths.min() < 1 or ends[-1] - start > self.row_length:
            raise UserError(self._torn("doc_ends.bin", f"row {r} does not hold 1 to {self.row_length} tokens in order"))
        return self._ids[start : ends[-1]].astype(np.int64), lengths

    def batch(self, rows: Sequence[int] | np.ndarray) -> Batch:
        """The rows [B] as one padded batch with T = row_length."""
        ids_BT = np.full((len(rows), self.row_length), self.eos_id, dtype=np.int64)
        doc_index_BT = np.full((len(rows), self.row_length), -1, dtype=np.int32)
        for b, r in enumerate(rows):
            ids, lengths = self.row(int(r))
            ids_BT[b, : len(ids)] = ids
            doc_index_BT[b, : len(ids)] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return Batch(ids_BT, doc_index_BT)

    def heldout(self) -> list[str]:
        """Texts of the documents kept out of training, [] when there are none."""
        with open(self.folder / "heldout.jsonl", encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]

    def check(self, vocab_size: int) -> None:
        """Read every token once. Raises UserError with file, position and ids if one is >= `vocab_size`."""
        for start in range(0, self.tokens, CHECK_TOKENS):
            chunk = self._ids[start : start + CHECK_TOKENS]
            if int(chunk.max()) < vocab_size:
                continue
            beyond = np.flatnonzero(chunk >= vocab_size)
            ids = sorted({int(i) for i in chunk[beyond[:1000]]})[:3]
            raise UserError(
                f"{self.folder / 'tokens.bin'} holds token id {ids} at position {start + int(beyond[0])} but the "
                f"vocabulary ends at {vocab_size - 1}: use the model's own tokenizer for source {self.source!r}, or, "
                f"if it is, write the shards again with `octolab run ... --redo shards/{self.source}`"
            )

    def _read_manifest(self) -> dict[str, Any]:
        file = self.folder / "manifest.json"
        if not file.is_file():
            raise UserError(
                f"{self.folder} holds no finished shards (no manifest.json): write them with `octolab run ...`"
            )
        try:
            manifest = json.loads(file.read_bytes())
        except ValueError as error:
            raise UserError(self._torn(file.name, f"it is not JSON, {error}")) from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise UserError(self._torn(file.name, f"it does not describe shards of format {FORMAT}"))
        return manifest

    def _check_size(self, name: str, size: int) -> None:
        file = self.folder / name
        if not file.is_file():
            raise UserError(self._torn(name, "it is missing"))
        if file.stat().st_size != size:
            raise UserError(self._torn(name, f"it has {file.stat().st_size} bytes and the manifest says {size}"))

    def _open(self, name: str, dtype: np.dtype, count: int) -> np.ndarray:
        self._check_size(name, count * dtype.itemsize)
        return np.memmap(self.folder / name, dtype=dtype, mode="r", shape=(count,))

    def _torn(self, name: str, reason: str) -> str:
        node = f"shards/{self.source}".rstrip("/")
        return f"{self.folder / name} is torn ({reason}): write the shards again with `octolab run ... --redo {node}`"


class _Intake:
    """Sorts documents into bad, held out and training, and counts each."""

    def __init__(self, documents: Iterable[tuple[str, str]], max_heldout: int) -> None:
        self._documents = documents
        self._max_heldout = max_heldout
        self.heldout: list[tuple[str, str]] = []
        self.bad: Counter[str] = Counter()
        self.bad_ids: dict[str, list[str]] = {}
        self.documents = 0
        self.bytes = 0

    def batches(self) -> Iterator[list[str]]:
        """Training texts in lists of at most a window of documents or BATCH_CHARACTERS characters and one text."""
        batch: list[str] = []
        characters = 0
        for document_id, text in self._documents:
            reason, size = _examine(text)
            if reason is not None:
                self.bad[reason] += 1
                named = self.bad_ids.setdefault(reason, [])
                if len(named) < BAD_IDS_KEPT:
                    named.append(str(document_id))
                continue
            if len(self.heldout) < self._max_heldout and is_heldout(document_id):
                self.heldout.append((document_id, text))
                continue
            self.documents += 1
            self.bytes += size
            batch.append(text)
            characters += len(text)
            if len(batch) == WINDOW or characters >= BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
        if batch:
            yield batch


class _RowWriter:
    """Packs pieces window by window and appends the rows to the three files.

    The emptiest row of a window is not written but packed again with the next, so that windows do not each
    leave a half-empty row behind; what is carried over is less than a row of tokens.
    """

    def __init__(
        self,
        folder: Path,
        files: list[FileIO],
        dtype: np.dtype,
        vocab_size: int,
        row_length: int,
    ) -> None:
        self._folder = folder
        self._tokens_file, self._docs_file, self._rows_file = files
        self._dtype = dtype
        self._vocab_size = vocab_size
        self._row_length = row_length
        self._window: list[np.ndarray] = []
        self._carried = 0
        self.tokens = self.pieces = self.rows = 0

    def add(self, ids: np.ndarray) -> None:
        """Take in one whole document, [N] ids."""
        assert int(ids.max()) < self._vocab_size
        self._window.extend(cut(ids, self._row_length))
        if len(self._window) - self._carried >= WINDOW:
            self.flush(last=False)

    def flush(self, last: bool) -> None:
        """Pack and write the window; all of it if it is the `last`."""
        window, self._window, self._carried = self._window, [], 0
        if not window:
            return
        lengths = np.array([len(piece) for piece in window], dtype=np.int64)
        rows = pack(lengths, self._row_length)
        if not last:
            emptiest = min(range(len(rows)), key=lambda r: int(lengths[rows[r]].sum()))
            if int(lengths[rows[emptiest]].sum()) < self._row_length:
                self._window = [window[i] for i in rows.pop(emptiest)]
                self._carried = len(self._window)
        if not rows:
            return
        order = [i for row in rows for i in row]
        doc_ends = self.tokens + np.cumsum(lengths[order])
        row_ends = self.pieces + np.cumsum([len(row) for row in rows])
        with disk_errors(self._folder):
            _append(self._tokens_file, np.concatenate([window[i] for i in order]).astype(self._dtype))
            _append(self._docs_file, doc_ends.astype("<u8"))
            _append(self._rows_file, row_ends.astype("<u8"))
        self.tokens, self.pieces, self.rows = int(doc_ends[-1]), int(row_ends[-1]), self.rows + len(rows)


def _append(file: FileIO, array: np.ndarray) -> None:
    """Write all bytes of `array`; one call of the system may write fewer."""
    left = memoryview(array.tobytes())
    while left:
        left = left[file.write(left) :]


def is_heldout(document_id: str) -> bool:
    """Whether the hash of `document_id` falls to the one in 50 that are kept out of training."""
    digest = hashlib.blake2b(str(document_id).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELDOUT_ONE_IN == 0


def _examine(text: object) -> tuple[str | None, int]:
    """Why `text` cannot be trained on, or None, and its size in bytes."""
    if not isinstance(text, str):
        return "not_text", 0
    if not text.strip():
        return "empty", 0
    try:
        return None, len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "invalid_unicode", 0


def _nothing_to_train_on(source: str, intake: _Intake) -> str:
    if intake.heldout:
        return (
            f"source {source!r} has only {len(intake.heldout)} usable documents and all of them are held out for "
            "bits per byte: add documents, or give this one another id"
        )
    if intake.bad:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(intake.bad.items()))
        return f"source {source!r} has no document to train on (bad: {reasons}): correct its text field or its files"
    return f"source {source!r} is empty: check its path, and the filters of the stage that makes it"
