"""The lock: a second process is refused by the first one's number, and a dead process holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from octolab.errors import UserError
from octolab.store.lock import run_lock

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from octolab.store.lock import run_lock\n"
    "with run_lock(Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_process_is_refused_and_names_the_first(tmp_path, holder):
    with pytest.raises(UserError) as caught, run_lock(tmp_path / "run"):
        pytest.fail("two processes hold the run directory")
    assert f"in use by process {holder.pid}" in str(caught.value)
    assert str(tmp_path / "run") in str(caught.value) and "--out" in str(caught.value)
    with pytest.raises(UserError, match=str(holder.pid)), run_lock(tmp_path / "run"):
        pytest.fail("a refused process must not wipe the holder's number")


def test_freed_by_a_kill(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run_lock(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_taken_again_after_release_and_after_an_error(tmp_path):
    with run_lock(tmp_path), pytest.raises(UserError, match=str(os.getpid())), run_lock(tmp_path):
        pytest.fail("held twice")
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        raise ZeroDivisionError
    with run_lock(tmp_path):
        pass


def test_other_directories_are_free(tmp_path):
    with run_lock(tmp_path / "one"), run_lock(tmp_path / "two"):
        pass
