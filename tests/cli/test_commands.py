"""Every command once: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_recipe import write_lines

import octolab as package

COMMANDS = ["run", "plan", "status", "report", "diff", "doctor", "sample", "gc", "train", "rl", "evaluate", "curate"]
COMMANDS += ["verify"]


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_help_lists_every_command(octolab):
    done = octolab("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f" {command} " in done.printed
    assert octolab("--version").printed == f"octolab {package.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(octolab, command):
    done = octolab(command, "--help")
    assert done.code == 0 and done.said == ""
    assert "Usage" in done.printed and "--json" in done.printed


@pytest.mark.parametrize("words", [["run"], ["rnu"], ["run", "smoke", "--stes", "1"], ["sample", "x", "y", "-n", "0"]])
def test_wrong_usage_exits_with_2_and_says_why_on_stderr(octolab, words):
    done = octolab(*words)
    assert (done.code, done.printed) == (2, "") and "Usage" in done.said


def test_run(octolab, copy, recipe):
    value = octolab("run", recipe, "--out", copy, "--json").value
    assert value["report"] == str(copy / "report.html")
    assert value["nodes"]["stable"] == {"how": "reused", "seconds": 0.0}
    text = octolab("run", recipe, "--out", copy).printed
    assert "14 stages, 1 run now" in text and f"report: {copy / 'report.html'}" in text
    only = octolab("run", recipe, "--out", copy, "--only", "rl", "--redo", "rl", "--set", "stages.rl.rows=2", "--json")
    assert {node: one["how"] for node, one in only.value["nodes"].items() if one["how"] != "reused"} == {
        "rl/stable": "made",
        "rl/branch": "made",
    }


def test_run_over_seeds_compares_them_and_goes_on_where_it_was(octolab, recipe, tmp_path):
    claim = "{statement: RL pays, sets: [test], all: [{sum: {rl/stable: 1, stable: -1}, above: 0}]}"
    words = ["run", recipe, "--out", tmp_path, "--seeds", "4,5", "--set", f"stages.report.claims.pays={claim}"]
    value = octolab(*words, "--json").value
    assert (
        value["seeds"]
        == [4, 5]
        == [json.loads((tmp_path / f"seed-{s}/summary.json").read_text())["seed"] for s in (4, 5)]
    )
    assert len(value["claims"][0]["parts"][0]["by_seed"]) == 2
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("seed-*/stages/rl/*/manifest.json")}
    again = octolab(*words)
    assert "| **pays** |" in again.printed and str(tmp_path / "seeds.md") in again.printed
    assert done == {path: path.stat().st_mtime_ns for path in done}


def test_wrong_seeds_are_refused(octolab, recipe, tmp_path):
    for text, why in (("1,x", "whole numbers"), ("1,1", "a seed twice")):
        done = octolab("run", recipe, "--out", tmp_path, "--seeds", text)
        assert done.code == 2 and why in done.said
    assert octolab("run", recipe, "--seeds", "1,2", "--only", "rl").code == 2


def test_a_fresh_run_without_a_report_prints_none(octolab, recipe, tmp_path):
    value = octolab("run", recipe, "--out", tmp_path / "run", "--only", "tokenizer", "--json").value
    assert value["report"] is None and set(value["nodes"]) == {"curate", "tokenizer"}


def test_the_default_directory_is_runs_and_the_name(octolab, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    octolab("run", recipe, "--only", "curate")
    assert (tmp_path / "runs" / "tiny" / "recipe.yaml").exists()
    assert octolab("plan", recipe, "--json").value["nodes"][0]["state"] == "finished"


def test_plan(octolab, copy, recipe):
    value = octolab("plan", recipe, "--out", copy, "--set", "stages.rl.steps=9", "--json").value
    states = {entry["node"]: entry["state"] for entry in value["nodes"]}
    assert (states["stable"], states["rl/stable"], states["eval/rl/stable"]) == ("finished", "extendable", "changed")
    assert value["total"]["flops"] > 0
    text = octolab("plan", recipe, "--out", copy).printed
    assert "5 steps x 192 = 960 tokens" in text and "H100-hours" in text


def test_status(octolab, copy):
    value = octolab("status", copy, "--json").value
    assert {entry["state"] for entry in value["nodes"]} == {"finished"}
    text = octolab("status", copy).printed
    assert "14 of 14 finished" in text and "accuracy" in text


def test_report(octolab, copy):
    before = (copy / "summary.json").read_text()
    for name in ("summary.json", "report.html"):
        (copy / name).unlink()
    value = octolab("report", copy, "--json").value
    assert Path(value["report"]).stat().st_size > 10_000
    assert json.loads(Path(value["summary"]).read_text())["models"] == json.loads(before)["models"]
    assert octolab("report", copy).printed == f"report: {copy / 'report.html'}\n"


def test_diff(octolab, finished):
    value = octolab("diff", finished, finished, "--json").value
    assert value["settings"] == {} and value["results"]["stable before test"]
    assert "the same" in octolab("diff", finished, finished).printed


def test_gc(octolab, copy, recipe):
    octolab("run", recipe, "--out", copy, "--only", "branch", "--set", "stages.branch.clip=0.9")
    listed = octolab("gc", copy, "--dry-run", "--json").value
    assert len(listed) == 1 and Path(listed[0]["path"]).parent.name == ".superseded"
    assert "would free" in octolab("gc", copy, "--dry-run").printed and Path(listed[0]["path"]).exists()
    assert "freed" in octolab("gc", copy).printed and not Path(listed[0]["path"]).exists()
    assert octolab("gc", copy, "--json").value == []


def test_doctor(octolab):
    value = octolab("doctor", "--json").value
    assert value["python"].startswith("3.") and "GFLOP/s" in value["matmul"]
    assert "matmul" in octolab("doctor").printed


def test_sample(octolab, finished):
    words = ["sample", finished / "stages" / "rl" / "branch", "What is 1 + 2?", "--max-tokens", 5]
    done = octolab(*words, "-n", 2, "--seed", 3, "--json").value
    assert len(done) == 2 and all(one["tokens"] <= 5 and one["finish"] in ("stop", "length") for one in done)
    assert octolab(*words, "-n", 2, "--seed", 3, "--json").value == done
    assert octolab(*words, "-n", 2, "--seed", 4, "--json").value != done
    greedy = [octolab(*words, "--temperature", 0, "--seed", seed, "--json").value for seed in (1, 2)]
    assert greedy[0] == greedy[1]
    spelt = [*words[:2], "Question:What is 1 + 2?\nAnswer:", *words[3:], "--temperature", 0, "--json"]
    assert octolab(*words, "--template", "simple", "--temperature", 0, "--json").value == octolab(*spelt).value
    assert octolab("sample", finished / "stages" / "plain", "x", "--max-tokens", 2).code == 0
    checkpoint = next((finished / "stages" / "stable" / "checkpoints").iterdir())
    assert octolab("sample", checkpoint, "x", "--max-tokens", 2).code == 0


def test_sample_mistakes(octolab, finished, tmp_path):
    for words, text in (
        (["sample", tmp_path, "x"], "holds no checkpoint"),
        (["sample", finished / "stages" / "stable", ""], "the prompt is empty"),
        (["sample", finished / "stages" / "stable", "x " * 500], "context is 192"),
        (["sample", finished / "stages" / "stable", "x", "--template", "simpel"], "did you mean `simple`"),
    ):
        done = octolab(*words)
        assert done.code == 2 and done.said.startswith("octolab: ") and text in done.said


def test_curate(octolab, world, tmp_path):
    out = tmp_path / "run"
    words = ["curate", world / "pages", world / "short.jsonl", "--step", "extract", "--step", "exact_dedup"]
    value = octolab(*words, "--step", "decontaminate", "--against", world / "test.jsonl", "--out", out, "--json").value
    assert value["nodes"]["curate"]["how"] == "made"
    summary = json.loads((out / "stages" / "curate" / "manifest.json").read_text())["summary"]
    assert [step["name"] for step in summary["steps"]] == ["read", "extract", "exact_dedup", "decontaminate"]
    assert summary["documents"] == 12 and summary["bad_rows"] == {
        "missing field 'text' (looked for text, content, html)": 60
    }


def test_two_problem_files_of_one_name_are_refused(octolab, finished, world, tmp_path):
    write_lines(tmp_path / "test.jsonl", [{"question": "1?", "answer": "1"}])
    words = [
        "evaluate",
        finished / "stages",
        "--benchmark",
        world / "test.jsonl",
        "--benchmark",
        tmp_path / "test.jsonl",
    ]
    done = octolab(*words, "--out", tmp_path / "run")
    assert done.code == 2 and str(tmp_path / "test.jsonl") in done.said and "rename one" in done.said


def test_sources_that_are_no_sources(octolab, finished, tmp_path):
    done = octolab("train", finished, "--source", "web=pages.jsonl", "--steps", 1, "--lr", 1)
    assert done.code == 2 and "NAME=FILE:SHARE" in done.said


def test_it_is_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "octolab", "status", "."], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "octolab: . is not a run directory (it has no recipe.yaml); give the folder that `octolab run` made\n"
    )


def test_a_stage_folder_is_a_checkpoint(octolab, finished, tmp_path):
    """As the README says: evaluate what RL left, by the folder of its stage."""
    problems = tmp_path / "problems.jsonl"
    problems.write_text('{"question": "1 + 1 =", "answer": "2"}\n')
    stage = finished / "stages" / "stable"
    words = ("evaluate", stage, "--benchmark", problems, "--set", "stages.eval.max_tokens=4", "--out", tmp_path / "out")
    assert octolab(*words, "--json").code == 0
