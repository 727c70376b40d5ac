"""How the rows of one open file are read, format by format.

In goes a binary stream and its name, out come rows (dicts) and, for whatever is damaged, pairs (where, reason).
Reasons are short fixed phrases, so that they can be counted; the place goes into `where`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from octolab.tasks.warc import warc_rows

Damage = tuple[str, str]
Item = dict[str, Any] | Damage

NOT_JSON = "not valid JSON"
NOT_UTF8 = "not valid UTF-8"
NOT_ROW = "not a JSON object"
NOT_LIST = "not a list of JSON objects"
TORN = "torn compressed file"
TORN_PARQUET = "torn parquet"

_CHUNK = 1 << 20
_BATCH_ROWS = 1024


def format_of(name: str) -> tuple[str, str]:
    """Format and compression by the file's name: `a/b.jsonl.gz` is ("jsonl", "gz"), unknown is ("", "")."""
    parts = PurePosixPath(name).name.lower().split(".")
    compression = parts.pop() if parts[-1] in ("gz", "zst") else ""
    form = {"ndjson": "jsonl", "htm": "html"}.get(parts[-1], parts[-1]) if len(parts) > 1 else ""
    if form == "parquet" and compression:
        form = ""
    return (form, compression) if form else ("", "")


def jsonl_rows(stream: BinaryIO, name: str) -> Iterator[Item]:
    """One JSON object a line; blank lines count for nothing."""
    damage: list[Damage] = []
    number = 0
    for number, line in enumerate(_lines(_plain(stream, name, damage)), start=1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            yield where, NOT_UTF8
        except (ValueError, RecursionError):
            yield where, NOT_JSON
        else:
            yield row if isinstance(row, dict) else (where, NOT_ROW)
    for _, reason in damage:
        yield f"{name}:{number}", reason


def json_rows(stream: BinaryIO, name: str) -> Iterator[Item]:
    """A file that is one list of objects, read object by object up to where it may be torn."""
    damage: list[Damage] = []
    data = b"".join(_plain(stream, name, damage)).removeprefix(b"\xef\xbb\xbf")
    yield from damage
    try:
        text, sound = data.decode("utf-8"), True
    except UnicodeDecodeError:
        text, sound = data.decode("utf-8", "surrogateescape"), False
    place = _skip_space(text, 0)
    if place == len(text):
        return
    if text[place] != "[":
        yield name, NOT_LIST
        return
    decoder, number, place = json.JSONDecoder(), 0, _skip_space(text, place + 1)
    while place < len(text) and text[place] != "]":
        where = f"{name}:[{number}]"
        try:
            row, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield where, NOT_JSON
            return
        if not isinstance(row, dict):
            yield where, NOT_ROW
        elif not sound and not _is_unicode(json.dumps(row, ensure_ascii=False)):
            yield where, NOT_UTF8
        else:
            yield row
        number += 1
        place = _skip_space(text, place)
        if place < len(text) and text[place] == ",":
            place = _skip_space(text, place + 1)
        elif place < len(text) and text[place] != "]":
            yield f"{name}:[{number}]", NOT_JSON
            return
    if place == len(text):
        yield f"{name}:[{number}]", NOT_JSON


def parquet_rows(stream: BinaryIO, name: str) -> Iterator[Item]:
    """Row groups in order; one that cannot be read is reported and the next one is tried."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError):
        yield name, TORN_PARQUET
        return
    for group in range(file.num_row_groups):
        first = 0
        try:
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                yield from _batch_rows(batch, f"{name}:group {group}", first)
                first += batch.num_rows
        except (pa.ArrowException, OSError):
            yield f"{name}:group {group} row {first}", TORN_PARQUET


def _batch_rows(batch: Any, where: str, first: int) -> Iterator[Item]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                row = batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield f"{where} row {first + number}", NOT_UTF8
            else:
                yield row


def html_rows(stream: BinaryIO, name: str) -> Iterator[Item]:
    """The whole file as one row {"id": stem, "html": text}; bytes that are not UTF-8 are read in the encoding that
    the page declares, or that its bytes suggest."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    damage: list[Damage] = []
    data = b"".join(_plain(stream, name, damage))
    yield from damage
    if not data.strip():
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = bytes_to_str(data, detect_encoding(data, from_html_meta=True) or "utf-8", errors="replace")
    yield {"id": PurePosixPath(name).name.split(".htm")[0], "html": text}


FORMATS: dict[str, Callable[[BinaryIO, str], Iterator[Item]]] = {
    "jsonl": jsonl_rows,
    "json": json_rows,
    "parquet": parquet_rows,
    "html": html_rows,
    "warc": lambda stream, name: warc_rows(stream, name, bool(format_of(name)[1])),
}


def _plain(stream: BinaryIO, name: str, damage: list[Damage]) -> Iterator[bytes]:
    """Decompressed chunks; all that could be decompressed is given before a tear is noted in `damage`.

    Concatenated gzip members and zstd frames are read on, and a file that ends inside one counts as torn (the
    stream readers of the standard libraries would end zstd without a word).
    """
    compression = format_of(name)[1]
    if not compression:
        yield from iter(lambda: stream.read(_CHUNK), b"")
        return
    new, errors = _decompressor(compression)
    machine = new()
    started = False
    while data := stream.read(_CHUNK):
        while data:
            if machine.eof:
                machine = new()
            started = True
            try:
                yield machine.decompress(data)
            except errors:
                damage.append((name, TORN))
                return
            data = machine.unused_data if machine.eof else b""
    if started and not machine.eof:
        damage.append((name, TORN))


def _decompressor(compression: str) -> tuple[Callable[[], Any], type[Exception]]:
    if compression == "gz":
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    import zstandard

    return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their ends; a last line without one counts too."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _skip_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
