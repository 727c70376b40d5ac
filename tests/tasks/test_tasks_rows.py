"""Rows come out of every format in order; what is damaged is named and the rest is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from octolab.errors import UserError
from octolab.tasks.rows import BadCounts, BadRow, read_hub, read_rows

ROWS = [{"id": str(number), "text": f"row {number} ä"} for number in range(5)]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def write(path: Path, data: bytes) -> str:
    """Compress by the name's ending and write."""
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return str(path)


def read(path: str | Path) -> tuple[list[dict], list[BadRow]]:
    """All rows, all bad ones."""
    bad: list[BadRow] = []
    return list(read_rows(str(path), bad.append)), bad


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_text_formats_read_the_same_rows(tmp_path: Path, form: str, ending: str) -> None:
    data = JSONL if form == "jsonl" else json.dumps(ROWS).encode()
    assert read(write(tmp_path / f"a.{form}{ending}", data)) == (ROWS, [])


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet", row_group_size=2)
    assert read(tmp_path / "a.parquet") == (ROWS, [])


def test_html_in_utf8_and_in_a_declared_encoding(tmp_path: Path) -> None:
    write(tmp_path / "eins.html.gz", "<p>größer</p>".encode())
    latin = "<meta charset='iso-8859-1'><p>größer</p>"
    write(tmp_path / "zwei.html", latin.encode("latin-1"))
    rows, bad = read(tmp_path)
    assert rows == [{"id": "eins", "html": "<p>größer</p>"}, {"id": "zwei", "html": latin}]
    assert bad == []


def test_folder_is_read_in_name_order_without_hidden_or_foreign_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".cache").mkdir()
    for name, number in (("b.jsonl", 2), ("a.json", 1), ("sub/c.jsonl", 3), (".cache/d.jsonl", 9)):
        row = {"n": number}
        (tmp_path / name).write_text(json.dumps([row] if name.endswith(".json") else row))
    (tmp_path / "README.md").write_text("not data")
    assert read(tmp_path)[0] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert read(tmp_path / "*.jsonl")[0] == [{"n": 2}]
    assert read(f"file://{tmp_path}/b.jsonl")[0] == [{"n": 2}]


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [b'{"n": 1}', b'{"n": 2', b"", b'{"n": "\xff"}', b"[3]", b'{"n": 5}', b'{"n": 6, "te']
    path = write(tmp_path / "a.jsonl", b"\n".join(lines))
    rows, bad = read(path)
    assert rows == [{"n": 1}, {"n": 5}]
    assert [(one.where.removeprefix(path), one.reason) for one in bad] == [
        (":2", "not valid JSON"),
        (":4", "not valid UTF-8"),
        (":5", "not a JSON object"),
        (":7", "not valid JSON"),
    ]


def test_a_bomb_of_brackets_is_one_bad_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"[" * 200_000 + b'\n{"n": 1}\n')
    rows, bad = read(path)
    assert rows == [{"n": 1}] and len(bad) == 1


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_torn_compression_gives_what_was_whole(tmp_path: Path, ending: str) -> None:
    lines = b"".join(json.dumps({"n": n, "x": "%x" % (n * 2654435761)}).encode() + b"\n" for n in range(20_000))
    path = tmp_path / f"a.jsonl{ending}"
    write(path, lines)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    rows, bad = read(path)
    assert 0 < len(rows) < 20_000 and rows == [json.loads(line) for line in lines.splitlines()[: len(rows)]]
    assert "torn compressed file" in [one.reason for one in bad]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_concatenated_frames_are_read_on(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    write(path, JSONL)
    path.write_bytes(path.read_bytes() * 2)
    assert read(path) == (ROWS * 2, [])


def test_torn_json_list_gives_the_rows_before_the_tear(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps(ROWS).encode()[:-20])
    rows, bad = read(path)
    assert rows == ROWS[:4] and bad == [BadRow(f"{path}:[4]", "not valid JSON")]
    path = write(tmp_path / "b.json", b'[{"a": 1}, {"a": "\xfe"}, 7, {"a": 4}]')
    rows, bad = read(path)
    assert rows == [{"a": 1}, {"a": 4}]
    assert [one.reason for one in bad] == ["not valid UTF-8", "not a JSON object"]


def test_torn_parquet_beside_a_whole_one(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-30])
    rows, bad = read(tmp_path)
    assert rows == ROWS and [one.reason for one in bad] == ["torn parquet"]
    assert bad[0].where.endswith("b.parquet")


def test_parquet_with_a_damaged_row_group_gives_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"id": f"{number:06d}-{number * 7919 % 10007}"} for number in range(4000)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000, use_dictionary=False)
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place : place + 400] = b"\xee" * 400
    path.write_bytes(bytes(data))
    found, bad = read(path)
    assert found == rows[:1000] + rows[2000:]
    assert [one.reason for one in bad] == ["torn parquet"] and ":group 1" in bad[0].where


def test_parquet_with_bad_utf8_loses_one_row(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    column = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    rows, bad = read(tmp_path / "a.parquet")
    assert rows == [{"text": "good"}, {"text": "fine"}]
    assert [one.reason for one in bad] == ["not valid UTF-8"] and bad[0].where.endswith("row 1")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("none.jsonl", None, "does not exist"),
        ("a.txt", b"x", "none of the formats"),
        ("a.jsonl", b"", "holds no rows"),
        ("a.jsonl", b"\n \n", "holds no rows"),
        ("a.jsonl", b"{", "damaged"),
        ("a.json", b"{}", "damaged"),
        ("a.json", b"[]", "holds no rows"),
        ("a.html", b"", "holds no rows"),
    ],
)
def test_nothing_to_read_is_the_users_mistake(tmp_path: Path, name: str, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_path_is_refused_before_any_row_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        read_rows(str(tmp_path / "none.jsonl"), lambda bad: None)
    with pytest.raises(UserError, match="formats"):
        read_rows(str(tmp_path), lambda bad: None)
    with pytest.raises(UserError, match="address"):
        read_rows("nosuchscheme://a/b.jsonl", lambda bad: None)


def test_bad_counts_keep_five_places() -> None:
    bad = BadCounts()
    for number in range(9):
        bad.on_bad(BadRow(f"f:{number}", "torn"))
    assert bad.counts == {"torn": 9} and bad.examples == {"torn": [f"f:{n}" for n in range(5)]} and bad.total == 9


@pytest.mark.parametrize("streaming", [True, False])
def test_hub_rows_come_through_datasets(tmp_path: Path, streaming: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of jsonl is a dataset repository in miniature: same loader, same code."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "repo" / "deep").mkdir(parents=True)
    (tmp_path / "repo" / "test.jsonl").write_bytes(JSONL)
    (tmp_path / "repo" / "deep" / "train.jsonl").write_bytes(JSONL.splitlines()[0])
    repo = str(tmp_path / "repo")
    assert list(read_hub(repo, split="test", streaming=streaming)) == ROWS
    found = list(read_hub(repo, split="train", data_files="deep/train.jsonl", streaming=streaming))
    assert found == ROWS[:1]
    with pytest.raises(UserError, match="validation"):
        read_hub(repo, split="validation", streaming=streaming)


def test_hub_arguments_reach_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict = {}

    def load(hub_id: str, **named: object) -> list[dict]:
        seen.update(named, hub_id=hub_id)
        return [{"a": 1}]

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert list(read_hub("who/what", config="main", split="test", revision="abc")) == [{"a": 1}]
    assert seen == {
        "hub_id": "who/what",
        "name": "main",
        "split": "test",
        "revision": "abc",
        "data_files": None,
        "streaming": True,
    }


def test_an_unreachable_hub_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach\nthe hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError, match=r"who/what .*Couldn't reach the hub.*path"):
        read_hub("who/what")


def test_a_hub_stream_that_breaks_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream():
        yield {"text": "one"}
        raise OSError("connection reset")

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **named: stream())
    rows = read_hub("some/set")
    assert next(rows) == {"text": "one"}
    with pytest.raises(UserError, match=r"some/set .* broke off: connection reset"):
        next(rows)
