"""Web pages from WARC archives, by fastwarc.

In goes an open `.warc` or `.warc.gz`, out come rows {"id": record id, "url", "date", "html"} of its HTML responses. In
a compressed archive every record is a gzip member of its own: a damaged one is reported with its place, and reading
goes on at the next. Requests, metadata and other content types are no pages and are passed over in silence.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

MAX_RECORD = 64 << 20  # bytes of one record, unpacked
TORN = "torn WARC record"
LARGE = "WARC record of more than 64 MiB"
_MAGIC = b"\x1f\x8b\x08"
_CHUNK = 1 << 20
_HTML = ("text/html", "application/xhtml+xml")

Item = dict[str, Any] | tuple[str, str]


def warc_rows(stream: BinaryIO, name: str, compressed: bool) -> Iterator[Item]:
    """Rows of pages and, for whatever is damaged, (where, reason); `where` ends with the byte offset of the record."""
    if not compressed:
        yield from _pages(stream, name, 0)
        return
    for offset, member in _members(stream):
        if isinstance(member, str):
            yield f"{name}@{offset}", member
        else:
            yield from _pages(io.BytesIO(member), name, offset)


def _members(stream: BinaryIO) -> Iterator[tuple[int, bytes | str]]:
    """(offset, content) of each gzip member; a reason in place of the content of a damaged one."""
    data, offset, ended = b"", 0, False
    while True:
        while len(data) < len(_MAGIC) and not ended:
            more = stream.read(_CHUNK)
            ended, data = not more, data + more
        if not data:
            return
        machine, parts, size, used = zlib.decompressobj(wbits=31), [], 0, 0
        reason = None
        piece = data
        while True:
            try:
                parts.append(machine.decompress(piece, MAX_RECORD + 1 - size))
            except zlib.error:
                reason = TORN
                break
            size += len(parts[-1])
            if size > MAX_RECORD:
                reason = LARGE
                break
            if machine.eof:
                used = len(data) - len(machine.unused_data)
                break
            piece = stream.read(_CHUNK)
            if not piece:
                ended, reason = True, TORN
                break
            data += piece
        yield offset, reason or b"".join(parts)
        if reason:  # go on at what looks like the next member
            used = data.find(_MAGIC, 1)
            while used < 0 and not ended:
                kept = data[-2:]
                offset += len(data) - len(kept)
                more = stream.read(_CHUNK)
                ended, data = not more, kept + more
                used = data.find(_MAGIC)
            if used < 0:
                return
        data, offset = data[used:], offset + used


def _pages(stream: BinaryIO, name: str, offset: int) -> Iterator[Item]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    where = f"{name}@{offset}"
    try:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=False):
            where = f"{name}@{offset + record.stream_pos}"
            announced = record.content_length
            block = record.reader.read()
            if len(block) < announced:
                yield where, TORN
                continue
            page = _page(record, block)
            if page is not None:
                yield page
    except Exception as error:  # fastwarc raises several kinds for one cause: the record cannot be read
        yield where, f"{TORN} ({type(error).__name__})"


def _page(record: Any, block: bytes) -> dict[str, Any] | None:
    """The row of a response, or None where it is no HTML page or says it is an error."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    head, separator, body = block.partition(b"\r\n\r\n")
    if not separator:
        return None
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if not headers.get("content-type", "").lower().startswith(_HTML) or " 200" not in status:
        return None
    body = _decoded(body, headers)
    charset = headers["content-type"].lower().partition("charset=")[2].strip("\"' ;")
    try:
        html = body.decode("utf-8")
    except UnicodeDecodeError:
        guess = charset or detect_encoding(body, from_html_meta=True) or "utf-8"
        html = bytes_to_str(body, guess, errors="replace")
    return {
        "id": (record.record_id or "").strip("<>"),
        "url": record.headers.get("WARC-Target-URI") or "",
        "date": record.headers.get("WARC-Date") or "",
        "html": html,
    }


def _decoded(body: bytes, headers: dict[str, str]) -> bytes:
    """The body without chunks and compression, where the archive kept them; as it is where they do not fit."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    if headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        for bits in (47, -15):
            try:
                return zlib.decompressobj(wbits=bits).decompress(body, MAX_RECORD)
            except zlib.error:
                continue
    return body


def _unchunked(body: bytes) -> bytes:
    parts, place = [], 0
    while place < len(body):
        end = body.find(b"\r\n", place)
        size = body[place:end].split(b";")[0].strip() if end >= 0 else b""
        if not size or any(digit not in b"0123456789abcdefABCDEF" for digit in size):
            return body  # the archive has removed the chunks already
        length = int(size, 16)
        if length == 0:
            break
        parts.append(body[end + 2 : end + 2 + length])
        place = end + 2 + length + 2
    return b"".join(parts)
