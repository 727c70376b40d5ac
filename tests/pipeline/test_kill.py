"""Killed at any moment and started again until it ends, a run gives the numbers of one that nobody touched."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tiny_recipe import command, numbers, run

from octolab.pipeline.status import status_of
from octolab.report.collect import without_times
from octolab.store.logs import read_log

LONGER = ["stages.stable.steps=30", "stages.branch.steps=20", "stages.rl.steps=6"]
OFTEN = [f"stages.{stage}.checkpoint_seconds=1e-6" for stage in ("stable", "branch", "rl")]
TARGETS = ["curate", "shards/short", "stable", "branch", "rl/stable", "rl/stable", "rl/branch", "eval/stable",
           "eval/rl/branch"]  # fmt: skip
"""Stages in which the process is killed, in order."""
PATIENCE = 60.0


@pytest.fixture(scope="module")
def untouched(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("untouched") / "run"
    run(recipe, out, *LONGER)
    return out


def start(recipe: Path, out: Path, *sets: str) -> subprocess.Popen[str]:
    words = [word for text in (*LONGER, *sets) for word in ("--set", text)]
    return command("run", recipe, "--out", out, *words, cwd=recipe.parent)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the file is there and newer than the process, or the process has ended."""
    begun, limit = time.time(), time.monotonic() + PATIENCE
    while process.poll() is None and not (path.exists() and path.stat().st_mtime >= begun):
        assert time.monotonic() < limit, f"{path} never came"
        time.sleep(0.002)


def assert_nobody_left(folder: Path) -> None:
    """No process works in `folder` any more: verifier workers die with their parent."""
    limit = time.monotonic() + 10
    while left := [link for link in Path("/proc").glob("[0-9]*/cwd") if _leads_to(link, folder)]:
        assert time.monotonic() < limit, f"left behind: {left}"
        time.sleep(0.02)


def _leads_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder
    except OSError:  # it has just ended
        return False


def kill(process: subprocess.Popen[str]) -> bool:
    """SIGKILL; false if it had ended by itself, which must then have been with success."""
    process.kill()
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0


def assert_same(out: Path, untouched: Path) -> None:
    """Summaries, logs and weights agree in everything but times, and nothing half-written is left."""
    assert numbers(out) == numbers(untouched)
    for node in ("stable", "branch", "rl/stable", "rl/branch"):
        assert _log(out, node, "metrics.jsonl") == _log(untouched, node, "metrics.jsonl"), node
        assert _weights(out, node) == _weights(untouched, node), node
    for node in ("rl/stable", "rl/branch"):
        assert _log(out, node, "rollouts.jsonl.zst") == _log(untouched, node, "rollouts.jsonl.zst")
    for node in ("eval/stable", "eval/rl/branch"):
        assert _log(out, node, "samples.jsonl") == _log(untouched, node, "samples.jsonl")
    assert not list(out.rglob("*.partial"))
    assert {entry["state"] for entry in status_of(out)["nodes"]} == {"finished"}


def _weights(out: Path, node: str) -> bytes:
    (file,) = (out / "stages" / node).glob("checkpoints/*/model.safetensors")
    return file.read_bytes()


def _log(out: Path, node: str, name: str) -> list[dict]:
    return [without_times(record) for record in read_log(out / "stages" / node / name)]


def test_killed_in_every_kind_of_stage(recipe, untouched, tmp_path):
    chance = random.Random(1)
    out, kills = tmp_path / "run", 0
    for target in TARGETS:
        process = start(recipe, out, *OFTEN)
        wait_for(out / "stages" / target / "started.json", process)
        time.sleep(chance.uniform(0, 0.15))
        kills += kill(process)
        assert_nobody_left(recipe.parent)
        finished = [entry["node"] for entry in status_of(out)["nodes"] if entry["state"] == "finished"]
        assert all((out / "stages" / node / "manifest.json").exists() for node in finished)
    last = start(recipe, out, *OFTEN)
    _, said = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    assert kills >= 6, f"only {kills} kills met a running process"
    assert_same(out, untouched)
    assert_nobody_left(recipe.parent)


def test_killed_at_moments_drawn_by_chance(recipe, untouched, tmp_path):
    chance = random.Random(2)
    out, kills = tmp_path / "run", 0
    while True:
        process = start(recipe, out)
        wait_for(out / ".lock", process)
        try:
            process.wait(chance.uniform(0.1, 0.8) * (1 + kills))
        except subprocess.TimeoutExpired:
            kills += kill(process)
            continue
        _, said = process.communicate()
        assert process.returncode == 0, said
        break
    assert kills >= 2
    assert_same(out, untouched)
    assert_nobody_left(recipe.parent)


def test_ctrl_c_says_how_to_go_on_and_leaves_a_run_that_does(recipe, untouched, tmp_path):
    out = tmp_path / "run"
    process = start(recipe, out, *OFTEN)
    wait_for(out / "stages" / "rl" / "stable" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "octolab: stopped; run the same command again, without any --redo, to go on"
    assert "Traceback" not in said and printed == ""
    assert_nobody_left(recipe.parent)
    states = {entry["node"]: entry["state"] for entry in status_of(out)["nodes"]}
    assert (states["branch"], states["report"]) == ("finished", "waiting")
    run(recipe, out, *LONGER)
    assert_same(out, untouched)
