"""`--miniature`: a recipe that names hub models and data sets, rehearsed without a network."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from tiny_recipe import command

from octolab.recipe.load import load_recipe, shipped_recipes
from octolab.recipe.miniature import LENGTH, ROWS, miniature_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("octolab.lab") is None, reason="stand-in rows come from octolab.lab"
)

HUB = {
    "name": "paper",
    "models": {"qwen": {"hub": "Qwen/Qwen2.5-3B"}},
    "sources": {
        "web": {"hub": "somebody/web", "convert": "web"},
        "clean": {"from": "curate"},
        "long": {"hub": "somebody/traces", "convert": "long_cot"},
    },
    "stages": {
        "curate": {"kind": "curate", "sources": ["web"], "steps": ["exact_dedup", "decontaminate"]},
        "stable": {
            "kind": "train",
            "from": "qwen",
            "steps": 1000,
            "sequences_per_step": 512,
            "sequence_length": 8192,
            "schedule": {"constant": 2e-5},
            "mixture": {"clean": 0.5, "long": 0.5},
        },
        "rl": {
            "kind": "rl",
            "from": ["stable"],
            "prompts": "math8k",
            "setting": "octothinker",
            "steps": 200,
            "template": "orz",
            "max_tokens": [{"step": 0, "max_tokens": 2048}, {"step": 100, "max_tokens": 4096}],
        },
        "eval": {
            "kind": "evaluate",
            "of": ["rl/*"],
            "benchmarks": ["gsm8k"],
            "template": "orz",
            "few_shot": {"shots": 8},
        },
        "report": {"kind": "report"},
    },
}


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(HUB))
    return path


def test_shape_stays_and_numbers_shrink(paper):
    whole = load_recipe(paper)
    small = miniature_of(whole)
    assert small.name == "paper-miniature"
    assert set(small.stages) == {"miniature_tokenizer", *whole.stages}
    stable, rl = small.stages["stable"], small.stages["rl"]
    assert (stable.steps, stable.sequence_length, stable.sequences_per_step) == (4, LENGTH, ROWS)
    assert (stable.mixture, stable.schedule) == (whole.stages["stable"].mixture, whole.stages["stable"].schedule)
    assert (rl.steps, rl.prompts_per_step, rl.samples_per_prompt, rl.updates_per_step) == (5, 4, 4, 2)
    assert [(one.step, one.max_tokens) for one in rl.max_tokens] == [(0, 32), (1, 64)]
    assert rl.template == "orz" and small.models["qwen"].init.family == "qwen2"
    assert all(source.hub is None for source in small.sources.values())
    assert all(data.hub is None and data.make for data in small.data.values()) and set(small.data) == {
        "math8k",
        "gsm8k",
    }


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_can_be_planned_small(octolab, name, tmp_path):
    value = octolab("plan", name, "--miniature", "--out", tmp_path / "run", "--json").value
    assert value["total"]["sizes_unknown"] == [] and value["note"] == ""
    assert {entry["state"] for entry in value["nodes"]} == {"new"}
    assert value["total"]["flops"] < 1e14
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_hub_names_completes_offline(paper, tmp_path):
    """In a process of its own, which cannot even ask: the hub's address is nobody's."""
    words = ["run", paper, "--miniature", "--out", tmp_path / "run", "--json"]
    process = command(*words, cwd=tmp_path, env={"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"})
    try:
        printed, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, said
    nodes = json.loads(printed)["nodes"]
    assert {node for node in nodes if not node.startswith(("shards", "mini"))} == {
        "curate", "qwen", "stable", "rl/stable", "eval/rl/stable", "report",
    }  # fmt: skip
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["models"]["stable"]["after"]) == {"gsm8k", "gsm8k@few_shot"}
    assert summary["rl"]["stable"]["settings"]["setting"] == "octothinker"
