r"""A recipe of seconds that has every kind of stage, and the files it reads: what the pipeline is tested with.

`write_world(folder)` writes pages, documents, problems, a reward of the user's own and `tiny.yaml`, and needs
nothing of `octolab.lab`. The reward pays for the parity of a completion's characters, so that a model with
random weights has groups with both outcomes and RL has a gradient. The fixtures are for tests/pipeline and
tests/cli, whose conftest.py import them.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from octolab.cli.main import main
from octolab.pipeline.run import Outcome, run_recipe
from octolab.recipe.load import load_recipe
from octolab.report.collect import without_times

REWARD = """
def parity(gold, completion, mode, task):
    return sum(map(ord, completion)) % 2 == 0
"""


def sums(first: int, count: int, prefix: str) -> list[dict[str, str]]:
    """`count` addition problems with worked solutions."""
    rows = []
    for number in range(first, first + count):
        a, b = number % 17, number * 7 % 23
        solution = f"{a} + {b} = {a + b}. The answer is \\boxed{{{a + b}}}."
        question = f"What is {a} + {b}?"
        rows.append({"id": f"{prefix}{number}", "question": question, "solution": solution, "answer": str(a + b)})
    return rows


def page(number: int) -> str:
    """An html page."""
    text = " ".join(f"Box {number} holds {count} apples and {count * number} pears." for count in range(1, 9))
    return f"<html><body><h1>Boxes {number}</h1><p>{text}</p><p>Count them again and add {number}.</p></body></html>"


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def values(folder: Path) -> dict[str, Any]:
    """The recipe as data; its files lie in `folder`."""
    train = {"kind": "train", "sequences_per_step": 4, "sequence_length": 48, "max_epochs": 50.0}
    size = {"family": "llama", "width": 32, "layers": 1, "heads": 2, "ffn": 64, "positions": 192}
    return {
        "name": "tiny",
        "seed": 5,
        "models": {"plain": {"init": size, "tokenizer": "tokenizer"}},
        "sources": {
            "pages": {"path": str(folder / "pages")},
            "web": {"from": "curate"},
            "short": {"path": str(folder / "short.jsonl"), "convert": "short_cot"},
        },
        "data": {name: {"path": str(folder / f"{name}.jsonl")} for name in ("prompts", "test", "shown")},
        "stages": {
            "curate": {"kind": "curate", "sources": ["pages"], "steps": ["extract", "exact_dedup", "decontaminate"]},
            "tokenizer": {"kind": "tokenizer", "sources": ["web", "short"], "vocab_size": 300},
            "stable": train
            | {"from": "plain", "steps": 5, "schedule": {"constant": 3e-3}, "mixture": {"web": 0.5, "short": 0.5}},
            "branch": train | {"from": "stable", "steps": 4, "schedule": {"cosine": 3e-3}, "mixture": {"short": 1.0}},
            "rl": {
                "kind": "rl",
                "from": ["stable", "branch"],
                "prompts": "prompts",
                "steps": 3,
                "prompts_per_step": 2,
                "samples_per_prompt": 4,
                "learning_rate": 1e-3,
                "max_tokens": 10,
                "reward": "tiny_reward:parity",
            },
            "eval": {
                "kind": "evaluate",
                "of": ["stable", "branch", "rl/*"],
                "benchmarks": ["test"],
                "few_shot": {"shots": 1, "exemplars": "shown"},
                "samples": 2,
                "temperature": 1.0,
                "max_tokens": 8,
            },
            "report": {"kind": "report"},
        },
    }


def write_world(folder: Path) -> Path:
    """Write all files into `folder`; returns the recipe's."""
    (folder / "pages").mkdir(parents=True, exist_ok=True)
    for number in range(12):
        (folder / "pages" / f"p{number}.html").write_text(page(number), encoding="utf-8")
    write_lines(folder / "short.jsonl", sums(0, 60, "s"))
    write_lines(folder / "prompts.jsonl", sums(100, 6, "r"))
    write_lines(folder / "test.jsonl", sums(200, 4, "t"))
    write_lines(folder / "shown.jsonl", sums(300, 2, "x"))
    (folder / "tiny_reward.py").write_text(REWARD, encoding="utf-8")
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(values(folder), sort_keys=False), encoding="utf-8")
    return recipe


def run(recipe: Path, out: Path, *sets: str, only: str | None = None, redo: Sequence[str] = ()) -> Outcome:
    """Run in this process, silently."""
    console = Console(file=io.StringIO())
    return run_recipe(load_recipe(recipe, sets), out, only=only, redo=redo, console=console)


def how(outcome: Outcome) -> dict[str, str]:
    """Node -> what was done with it."""
    return {node: done for node, (done, _) in outcome.nodes.items()}


def not_reused(outcome: Outcome) -> dict[str, str]:
    """What was done apart from reusing; the report, which shows times, is written every time."""
    done = how(outcome)
    assert done.pop("report", "made") == "made"
    return {node: word for node, word in done.items() if word != "reused"}


def numbers(out: Path) -> dict[str, Any]:
    """A run's summary without times and provenance."""
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return without_times({name: value for name, value in summary.items() if name not in ("times", "provenance")})


def command(*words: str | Path, cwd: Path, **more: Any) -> subprocess.Popen[str]:
    """`octolab WORDS` as a process of its own, on one thread, in `cwd` (where the user's modules lie)."""
    package = str(Path(__file__).resolve().parents[1])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": package, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        [sys.executable, "-m", "octolab", *map(str, words)],
        cwd=cwd,
        env=env | more.pop("env", {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


# -- fixtures ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors this small gain nothing from a second thread and wait long for one on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with the recipe's files, which no test changes."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    sys.path.insert(0, str(folder))  # the reward is a module of the user's own
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def recipe(world: Path) -> Path:
    """The recipe's file."""
    return world / "tiny.yaml"


@pytest.fixture(scope="session")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    run(recipe, out)
    return out


@dataclass(frozen=True)
class Said:
    """What a command did: exit code, standard output, standard error."""

    code: int
    printed: str
    said: str

    @property
    def value(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.printed)


@pytest.fixture
def octolab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`octolab("run", ...)`: the command line in this process."""

    def call(*words: str | Path | int | float) -> Said:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["octolab", *map(str, words)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as end:
            main()
        return Said(int(end.value.code or 0), *capsys.readouterr())

    return call
