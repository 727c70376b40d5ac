"""Logs: appended, cut back to a checkpoint, and loud where they are torn."""

from __future__ import annotations

import json
import math
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.store.logs import JsonLines, ZstdJsonLines, finite, read_log

KINDS = [(JsonLines, "log.jsonl"), (ZstdJsonLines, "log.jsonl.zst")]


def records(start, count):
    return [{"n": n, "text": f"größe {n}", "x": n / 3} for n in range(start, start + count)]


@pytest.mark.parametrize(("kind", "name"), KINDS)
class TestBoth:
    def test_what_goes_in_comes_out_also_over_several_openings(self, tmp_path, kind, name):
        for start in (0, 5, 10):
            log = kind(tmp_path / "deep" / name)
            log.append(records(start, 3))
            log.append(records(start + 3, 2))
            log.close()
        assert list(read_log(tmp_path / "deep" / name)) == records(0, 15)

    def test_cut_back_to_a_checkpoint(self, tmp_path, kind, name):
        log = kind(tmp_path / name)
        log.append(records(0, 4))
        offset = log.offset()
        assert offset == os.path.getsize(tmp_path / name)
        log.append(records(100, 7))  # after the checkpoint; the process dies here
        log.close()
        again = kind(tmp_path / name, offset)
        assert again.offset() == offset
        again.append(records(4, 3))
        assert again.offset() > offset
        again.close()
        assert list(read_log(tmp_path / name)) == records(0, 7)

    def test_offset_zero_starts_anew_and_none_keeps(self, tmp_path, kind, name):
        for offset, expected in ((None, 3), (None, 6), (0, 3)):
            log = kind(tmp_path / name, offset)
            log.append(records(0, 3))
            log.close()
            assert len(list(read_log(tmp_path / name))) == expected

    def test_shorter_than_its_checkpoint(self, tmp_path, kind, name):
        kind(tmp_path / name).append(records(0, 1))
        with pytest.raises(UserError, match=r"has \d+ bytes but its checkpoint says 99999"):
            kind(tmp_path / name, 99_999)

    def test_nan_becomes_null(self, tmp_path, kind, name):
        log = kind(tmp_path / name)
        log.append([{"loss": math.nan, "deep": [{"x": (math.inf, 1.0)}], "n": 3}])
        log.close()
        assert list(read_log(tmp_path / name)) == [{"loss": None, "deep": [{"x": [None, 1.0]}], "n": 3}]

    def test_a_torn_line_is_named_by_its_number(self, tmp_path, kind, name):
        log = kind(tmp_path / name)
        log.append(records(0, 2))
        whole = b'{"n": 2}\n{"n": 3, "te\n{"n": 4}\n'
        log._encode = lambda _: whole if kind is JsonLines else compressed(whole)  # type: ignore[method-assign]
        log.append([])
        log.close()
        read = []
        with pytest.raises(UserError, match=rf"{name}:4 is torn .*--redo"):
            for record in read_log(tmp_path / name):
                read.append(record["n"])
        assert read == [0, 1, 2], "what stands before the tear is still given"

    def test_absent(self, tmp_path, kind, name):
        with pytest.raises(UserError, match="does not exist"):
            list(read_log(tmp_path / name))

    def test_empty(self, tmp_path, kind, name):
        kind(tmp_path / name).close()
        assert list(read_log(tmp_path / name)) == []

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
    def test_a_full_disk(self, tmp_path, kind, name):
        (tmp_path / name).symlink_to("/dev/full")
        log = kind(tmp_path / name)
        with pytest.raises(UserError, match="disk is full") as caught:
            log.append(records(0, 5))
        assert str(tmp_path / name) in str(caught.value)
        log.close()  # nothing is left in a buffer that closing, or the end of the process, could fail on


def compressed(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.data())
def test_zstd_log_cut_anywhere_but_at_a_border_is_torn(tmp_path_factory, counts, data):
    """At a frame border the log is the shorter log; anywhere else it is an error, never silently shorter."""
    file = tmp_path_factory.mktemp("zstd") / "log.jsonl.zst"
    log = ZstdJsonLines(file)
    borders, total = {0: 0}, 0
    for count in counts:
        log.append(records(total, count))
        total += count
        borders[log.offset()] = total
    log.close()
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:at])
    if at in borders:
        assert list(read_log(file)) == records(0, borders[at])
        return
    with pytest.raises(UserError, match="is torn"):
        list(read_log(file))


def test_a_record_larger_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("octolab.store.logs.BLOCK", 7)
    log = ZstdJsonLines(tmp_path / "log.jsonl.zst")
    big = [{"text": "".join(chr(33 + (i * i) % 90) for i in range(5000))}, {"n": 1}]
    log.append(big)
    log.append(big)
    log.close()
    assert list(read_log(tmp_path / "log.jsonl.zst")) == big + big


def test_torn_utf8(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xc3')
    with pytest.raises(UserError, match=r"a\.jsonl:2 is torn"):
        list(read_log(tmp_path / "a.jsonl"))


def test_not_zstd_at_all(tmp_path):
    (tmp_path / "a.jsonl.zst").write_bytes(b'{"a": 1}\n')
    with pytest.raises(UserError, match="torn"):
        list(read_log(tmp_path / "a.jsonl.zst"))


def test_finite_keeps_everything_else():
    value = {"a": [1, True, None, "x", 0.5, -0.0], "b": {"c": 10**400}}
    assert json.dumps(finite(value)) == json.dumps(value)
