"""WARC archives: pages only, whatever their encoding; damage costs one record."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from octolab.tasks.rows import BadCounts, read_rows
from octolab.tasks.warc import LARGE, MAX_RECORD, TORN, warc_rows


def record(
    body: bytes, headers: str = "Content-Type: text/html", status: str = "200 OK", kind: str = "response"
) -> bytes:
    block = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body
    return (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{abs(hash(body))}>\r\nWARC-Target-URI: http://a.b/c\r\n"
        f"WARC-Date: 2024-01-02T03:04:05Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    ).encode() + block + b"\r\n\r\n"  # fmt: skip


def read(data: bytes, compressed: bool) -> tuple[list[str], list[str]]:
    pages, reasons = [], []
    for item in warc_rows(io.BytesIO(data), "a.warc", compressed):
        if isinstance(item, dict):
            assert item["url"] == "http://a.b/c" and item["date"].startswith("2024") and item["id"].startswith("urn")
            pages.append(item["html"])
        else:
            reasons.append(item[1])
    return pages, reasons


PAGES = [f"<html><p>Page number {number}, with words.</p></html>".encode() for number in range(5)]


@pytest.mark.parametrize("compressed", [False, True])
def test_pages_in_order(compressed: bool) -> None:
    records = [record(page) for page in PAGES]
    data = b"".join(gzip.compress(one) if compressed else one for one in records)
    assert read(data, compressed) == ([page.decode() for page in PAGES], [])


def test_what_is_no_page_is_passed_over() -> None:
    data = b"".join([
        record(b"{}", "Content-Type: application/json"), record(b"<html>gone", status="404 Not Found"),
        record(b"<html>asked", kind="request"), record(PAGES[0]),
    ])  # fmt: skip
    assert read(data, False) == ([PAGES[0].decode()], [])


def test_encodings_of_characters_and_of_transfer() -> None:
    text = "<html><p>Größe ≤ 5</p></html>"
    chunked = b"5\r\n" + text.encode()[:5] + b"\r\n" + f"{len(text.encode()) - 5:x}".encode() + b"\r\n" + text.encode()[5:] + b"\r\n0\r\n\r\n"  # fmt: skip  # noqa: E501
    data = b"".join([
        record("<html>Größe</html>".encode("latin-1"), "Content-Type: text/html; charset=ISO-8859-1"),
        record(gzip.compress(text.encode()), "Content-Type: text/html\r\nContent-Encoding: gzip"),
        record(chunked, "Content-Type: text/html\r\nTransfer-Encoding: chunked"),
        record(text.encode(), "Content-Type: text/html\r\nTransfer-Encoding: chunked"),  # already joined
    ])  # fmt: skip
    assert read(data, False) == (["<html>Größe</html>", text, text, text], [])


def test_a_damaged_record_costs_itself() -> None:
    members = [gzip.compress(record(page)) for page in PAGES]
    spoilt = bytearray(members[2])
    spoilt[len(spoilt) // 2] ^= 0xFF
    spoilt[-6] ^= 0xFF
    pages, reasons = read(b"".join([*members[:2], bytes(spoilt), *members[3:]]), True)
    assert pages == [PAGES[i].decode() for i in (0, 1, 3, 4)]
    assert reasons and all(reason.startswith(TORN) for reason in reasons)


def test_a_file_cut_short_and_garbage() -> None:
    whole = b"".join(gzip.compress(record(page)) for page in PAGES)
    pages, reasons = read(whole[:-30], True)
    assert pages == [page.decode() for page in PAGES[:4]] and reasons == [TORN]
    pages, reasons = read(b"garbage" + whole, True)
    assert pages == [page.decode() for page in PAGES] and reasons == [TORN]
    assert read(b"", True) == ([], [])
    assert read(record(PAGES[0])[:-40], False)[0] == []


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"WARC/1.0\r\n" + b"a" * (MAX_RECORD + 10))
    pages, reasons = read(bomb + gzip.compress(record(PAGES[0])), True)
    assert (pages, reasons) == ([PAGES[0].decode()], [LARGE])


def test_real_archives(test_data: Path) -> None:
    bad = BadCounts()
    rows = list(read_rows(str(test_data / "web_html" / "warc"), bad.on_bad))
    assert len(rows) > 10 and all(row["html"].strip() and row["url"].startswith("http") for row in rows)
    assert bad.counts == {TORN: 1} and "clipped" in bad.examples[TORN][0]
