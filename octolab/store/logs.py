"""Append-only logs that can be cut back to a checkpoint.

`JsonLines` holds one JSON record a line; `ZstdJsonLines` the same, one zstd frame for each `append` call, so
that the file can be cut at any frame border and still decompress. A checkpoint stores `offset()` of each log;
on resume the log is cut back to it, and what happened after the checkpoint is written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from octolab.errors import UserError
from octolab.store.atomic import disk_errors

BLOCK = 1 << 20
"""Bytes of a compressed log read at once."""


class JsonLines:
    """A JSON Lines file opened for appending. Non-finite numbers are written as null: they are not JSON."""

    def __init__(self, path: Path, offset: int | None = None) -> None:
        """Open `path`, creating it; `offset` (bytes) cuts off everything behind it first.

        Raises:
            UserError: the file is shorter than `offset`: it was damaged since the checkpoint.
        """
        self.path = Path(path)
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # open for the log's life; unbuffered, so that closing after a full disk has nothing left to fail on
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
        if offset is not None:
            size = self.path.stat().st_size
            if size < offset:
                raise UserError(
                    f"{self.path} has {size} bytes but its checkpoint says {offset}; redo this stage with --redo"
                )
            self._file.truncate(offset)
            self._file.seek(0, os.SEEK_END)

    def _encode(self, records: Iterable[dict[str, Any]]) -> bytes:
        return b"".join(json.dumps(finite(r), ensure_ascii=False).encode("utf-8") + b"\n" for r in records)

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the records and hand them to the operating system."""
        with disk_errors(self.path):
            left = memoryview(self._encode(records))
            while left:  # one call of the system may write fewer
                left = left[self._file.write(left) :]

    def offset(self) -> int:
        """Bytes written so far, made durable first: a checkpoint may now rely on them."""
        with disk_errors(self.path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class ZstdJsonLines(JsonLines):
    """`JsonLines` compressed, one zstd frame an append."""

    def _encode(self, records: Iterable[dict[str, Any]]) -> bytes:
        return zstandard.ZstdCompressor(level=3).compress(super()._encode(records))


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity, at any depth, replaced by None."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a `.jsonl` or `.jsonl.zst` log in order.

    Raises:
        UserError: the log is absent, or a line or frame is torn; the message names file and line.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; check the run directory or run the stage that writes it")
    with open(path, "rb") as raw:
        lines = _lines(_unpacked(raw)) if path.suffix == ".zst" else iter(raw)
        try:
            for number, line in enumerate(lines, start=1):
                try:
                    yield json.loads(line.decode("utf-8"))
                except (json.JSONDecodeError, UnicodeDecodeError) as error:
                    raise UserError(f"{path}:{number} is torn ({error}); redo this stage with --redo") from error
        except zstandard.ZstdError as error:
            raise UserError(f"{path} is torn ({error}); redo this stage with --redo") from error


def _unpacked(raw: BinaryIO) -> Iterator[bytes]:
    """Contents of a file of zstd frames. A last frame that does not end is an error, not the end of the log."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    inside = False
    while block := raw.read(BLOCK):
        while block:
            if not inside:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(block)
            inside, block = not frame.eof, frame.unused_data
    if inside:
        raise zstandard.ZstdError("its last frame is cut off")


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of text that comes in blocks."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest
