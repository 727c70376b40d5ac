"""Atomic writes: whatever fails, what was there stays, and nothing half-written has a real name."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from octolab.errors import UserError
from octolab.store import atomic
from octolab.store.atomic import new_folder, read_json, write_bytes, write_json, write_text


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_writes_what_it_was_given_and_makes_folders(tmp_path):
    write_text(tmp_path / "a" / "b" / "text", "zwölf\n")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == "zwölf\n".encode()
    write_json(tmp_path / "value.json", {"é": [1, 2.5, None]})
    assert read_json(tmp_path / "value.json") == {"é": [1, 2.5, None]}
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    file = tmp_path / "state.json"
    write_bytes(file, b"old")
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(UserError, match="disk is full") as caught:
        write_bytes(file, b"new and longer")
    assert str(file) in str(caught.value) and "free space" in str(caught.value)
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_failing_first_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError):
        write_text(tmp_path / "new.txt", "x")
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused_and_harms_nothing(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_read_json_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "none.json")
    for content in (b'{"a": [1, 2', b"", b'{"a": "\xff"}'):
        (tmp_path / "torn.json").write_bytes(content)
        with pytest.raises(UserError, match=r"torn\.json is torn"):
            read_json(tmp_path / "torn.json")


def test_other_errors_are_not_renamed(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "f"):
        raise ZeroDivisionError
    with pytest.raises(UserError, match=r"^mine$"), new_folder(tmp_path / "f"):
        raise UserError("mine")
    with pytest.raises(FileNotFoundError), atomic.disk_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_a_library_that_reports_a_full_disk_in_its_own_words(tmp_path):
    """safetensors raises no OSError; its text is all there is to go by."""
    from safetensors import SafetensorError

    with pytest.raises(UserError, match="disk is full"), new_folder(tmp_path / "checkpoint"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_is_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="not writable"):
        write_text(tmp_path / "a", "x")


class TestNewFolder:
    def test_appears_whole_and_replaces(self, tmp_path):
        for content in ("one", "two"):
            with new_folder(tmp_path / "save") as partial:
                assert partial != tmp_path / "save"
                (partial / "sub").mkdir()
                (partial / "sub" / content).write_text(content)
        assert [path.name for path in tmp_path.iterdir()] == ["save"]
        assert [path.name for path in (tmp_path / "save" / "sub").iterdir()] == ["two"]

    @pytest.mark.parametrize("older", [False, True])
    def test_a_failure_leaves_the_older_one_or_nothing(self, tmp_path, older):
        if older:
            with new_folder(tmp_path / "save") as partial:
                (partial / "old").write_text("old")
        with pytest.raises(UserError, match="disk is full"), new_folder(tmp_path / "save") as partial:
            (partial / "new").write_text("new")
            full_disk()
        assert [path.name for path in tmp_path.rglob("*")] == (["save", "old"] if older else [])

    @pytest.mark.parametrize("moment", ["filling", "before", "between", "after"])
    def test_a_kill_leaves_nothing_that_looks_whole(self, tmp_path, moment):
        """A process that dies, without a chance to tidy up, leaves *.partial or a whole folder."""
        with new_folder(tmp_path / "save") as partial:
            (partial / "old").write_text("old")
        code = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from octolab.store import atomic\n"
            "die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
            "with atomic.new_folder(Path(sys.argv[1])) as partial:\n"
            "    (partial / 'new').write_text('new')\n"
            "    if sys.argv[2] == 'filling': die()\n"
            "    moves, move = ['before', 'between', 'after'], os.replace\n"
            "    os.replace = lambda *names: die() if moves.pop(0) == sys.argv[2] else move(*names)\n"
            "    sweep = atomic.shutil.rmtree\n"
            "    atomic.shutil.rmtree = lambda *a, **k: die() if moves == ['after'] else sweep(*a, **k)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "save"), moment])
        assert done.returncode == -signal.SIGKILL
        real = [path for path in tmp_path.iterdir() if path.suffix != atomic.PARTIAL]
        for folder in real:
            assert [path.name for path in folder.iterdir()] in (["old"], ["new"])
        with new_folder(tmp_path / "save") as partial:
            (partial / "next").write_text("next")
        assert [path.name for path in tmp_path.rglob("*")] == ["save", "next"], "the next run sweeps up"


def test_json_is_readable_by_people(tmp_path):
    write_json(tmp_path / "a.json", {"name": "größe", "n": 1})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "größe" in text and text.count("\n") == 4 and json.loads(text)
