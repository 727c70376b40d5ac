"""`octolab verify`: one answer, a file, a file cut off and gone on with, an audit, and mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_recipe import write_lines

ROWS = [
    {"gold": r"\frac{1}{2}", "completion": r"so \boxed{0.5}"},
    {"gold": "5", "completion": r"\boxed{6}"},
    {"gold": "5", "completion": "no box"},
    {"gold": "5", "completion": r"\boxed{two}"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_lines(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


def test_one_answer(octolab):
    done = octolab("verify", r"\frac{1}{2}", r"so \boxed{0.5}")
    assert (done.code, done.said) == (0, "")
    assert done.printed == "correct  (fraction gold, box/exact, read '0.5')\n"
    value = octolab("verify", "8", "The answer is 9.", "--mode", "eval", "--json").value
    assert (value["verdict"], value["span"], value["gold_type"]) == ("wrong", "9", "integer")


def test_a_file(octolab, file, tmp_path):
    out = tmp_path / "graded.jsonl"
    value = octolab("verify", file, "--out", out, "--json").value
    assert (value["rows"], value["accuracy"], value["bad"]) == (4, 0.25, {})
    assert value["verdicts"] == {"correct": 1, "wrong": 1, "no_answer": 1, "unparsed": 1}
    graded = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["verdict"] for row in graded] == ["correct", "wrong", "no_answer", "unparsed"]
    assert [row["row"] for row in graded] == [0, 1, 2, 3] and graded[0]["gold"] == r"\frac{1}{2}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graded.jsonl", "rows.jsonl"]
    text = octolab("verify", file).printed
    assert "4 answers, 25.0% correct" in text and "no_answer  1" in text


def test_columns_by_name_and_rows_without_them(octolab, tmp_path):
    rows = [{"truth": 5, "said": r"\boxed{5}"}, {"truth": 5}, {"truth": 5, "said": r"\boxed{05}"}]
    write_lines(tmp_path / "rows.jsonl", rows)
    value = octolab("verify", tmp_path / "rows.jsonl", "--gold", "truth", "--completion", "said", "--json").value
    assert (value["rows"], value["accuracy"], value["bad"]) == (2, 1.0, {"no column said": 1})
    refused = octolab("verify", tmp_path / "rows.jsonl")
    assert refused.code == 2 and "holds no row with a gold and a completion" in refused.said


def test_math_verify_is_asked_too(octolab, tmp_path):
    write_lines(
        tmp_path / "rows.jsonl", [*ROWS[:2], {"gold": r"\frac{1}{2004!}", "completion": r"\boxed{\frac{1}{2006!}}"}]
    )
    value = octolab("verify", tmp_path / "rows.jsonl", "--audit", "--json").value
    assert value["disagreements"] == 1
    assert [(one["row"], one["verdict"], one["second"]) for one in value["disagree"]] == [(2, "wrong", "correct")]
    assert "Math-Verify disagrees on 1:" in octolab("verify", tmp_path / "rows.jsonl", "--audit").printed


def test_golds_alone(octolab, tmp_path):
    write_lines(tmp_path / "rows.jsonl", [{"answer": "5"}, {"answer": "(1,2)"}, {"answer": "{1"}])
    value = octolab("verify", tmp_path / "rows.jsonl", "--golds", "--json").value
    assert (value["golds"], value["types"]) == (3, {"integer": 1, "tuple": 1, "text": 1})
    assert [(one["row"], one["gold"]) for one in value["unmatched"]] == [(2, "{1")]
    assert "1 do not verify" in octolab("verify", tmp_path / "rows.jsonl", "--golds").printed


def test_a_killed_run_goes_on(octolab, tmp_path):
    rows = [{"gold": str(i % 7), "completion": rf"\boxed{{{i % 5}}}" + " " * 2000} for i in range(60_000)]
    write_lines(tmp_path / "rows.jsonl", rows)
    command = [sys.executable, "-m", "octolab", "verify", "rows.jsonl", "--out", "graded.jsonl", "--json"]
    killed = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not any(path.stat().st_size > 0 for path in tmp_path.glob("*.part")) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    (part,) = tmp_path.glob("*.part")
    assert not (tmp_path / "graded.jsonl").exists()
    with open(part, "ab") as torn:
        torn.write(b'{"row": 1, "ver')
    before = part.stat().st_size
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert before > 15 and json.loads(done.stdout)["rows"] == 60_000
    graded = [json.loads(line) for line in (tmp_path / "graded.jsonl").read_text().splitlines()]
    assert [row["row"] for row in graded] == list(range(60_000))
    assert all(row["correct"] == (i % 7 == i % 5) for i, row in enumerate(graded))
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["5", r"\boxed{5}", "--mode", "train"], "--mode train: the modes are rl, eval"),
        (["no/such/file.jsonl"], "does not exist"),
        (["FILE", "--grader", "nothing"], "module:function"),
        (["FILE", "--golds", "--gold", "truth"], "has no column truth"),
        (["FILE", "--seconds", "0"], "seconds > 0"),
    ],
)
def test_mistakes_are_one_sentence(octolab, file, words, said):
    done = octolab("verify", *[file if word == "FILE" else word for word in words])
    assert done.code == 2 and said in done.said and "Traceback" not in done.said
