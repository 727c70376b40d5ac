"""One-node recipes: `octolab train | rl | evaluate | curate` on one checkpoint or some files.

Each function writes the recipe that a user would have written by hand and lets the one pipeline run it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octolab.errors import UserError
from octolab.recipe.load import apply_override, validate
from octolab.recipe.schema import Recipe
from octolab.tasks.registry import DATA_SETS


def _model(checkpoint: str) -> dict[str, Any]:
    if Path(checkpoint).is_dir():
        from octolab.midtrain.checkpoint import find_checkpoint

        return {"path": str(find_checkpoint(Path(checkpoint)))}
    if checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") != 1:
        raise UserError(f"checkpoint {checkpoint} is neither a folder nor a hub id (owner/name); mend the path")
    return {"hub": checkpoint}


def _problem_set(named: str, data: dict[str, Any]) -> str:
    """The name of a problem set given as a known name or a file, which `data` then gains."""
    if named in DATA_SETS:
        return named
    if not Path(named).exists():
        raise UserError(f"{named} is neither a file nor a known problem set ({', '.join(DATA_SETS)})")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(named).name.split(".")[0]) or "problems"
    if name in data:
        raise UserError(f"{named} and {data[name]['path']} have one name, by which the results go; rename one of them")
    data[name] = {"path": named}
    return name


def _recipe(name: str, values: dict[str, Any], sets: Sequence[str]) -> Recipe:
    values = {"name": name} | values
    for text in sets:
        apply_override(values, text)
    return validate(values, f"octolab {name}")


def train_recipe(
    checkpoint: str, sources: Sequence[str], steps: int, lr: float, rows: int, length: int, sets: Sequence[str]
) -> Recipe:
    """Train on NAME=FILE:SHARE sources.

    Raises:
        UserError: a source is not of that form.
    """
    specs: dict[str, Any] = {}
    mixture: dict[str, Any] = {}
    for text in sources:
        name, sign, rest = text.partition("=")
        file, colon, share = rest.rpartition(":")
        if not sign or not colon:
            raise UserError(f"--source {text!r} is not of the form NAME=FILE:SHARE, e.g. web=pages.jsonl:0.7")
        specs[name], mixture[name] = {"path": file}, share
    stage = {
        "kind": "train",
        "from": "base",
        "steps": steps,
        "sequences_per_step": rows,
        "sequence_length": length,
        "schedule": {"constant": lr},
        "mixture": mixture,
    }
    return _recipe(
        "train", {"models": {"base": _model(checkpoint)}, "sources": specs, "stages": {"train": stage}}, sets
    )


def rl_recipe(checkpoint: str, prompts: str, steps: int, sets: Sequence[str]) -> Recipe:
    """RL on one problem set."""
    data: dict[str, Any] = {}
    stage = {"kind": "rl", "from": "base", "prompts": _problem_set(prompts, data), "steps": steps}
    stages = {"rl": stage, "report": {"kind": "report"}}
    return _recipe("rl", {"models": {"base": _model(checkpoint)}, "data": data, "stages": stages}, sets)


def evaluate_recipe(checkpoint: str, benchmarks: Sequence[str], sets: Sequence[str]) -> Recipe:
    """Evaluate on several problem sets."""
    data: dict[str, Any] = {}
    names = [_problem_set(named, data) for named in benchmarks]
    stages = {"eval": {"kind": "evaluate", "of": ["base"], "benchmarks": names}, "report": {"kind": "report"}}
    return _recipe("evaluate", {"models": {"base": _model(checkpoint)}, "data": data, "stages": stages}, sets)


def curate_recipe(
    paths: Sequence[str], steps: Sequence[str], convert: str, against: Sequence[str], sets: Sequence[str]
) -> Recipe:
    """Curate files or folders."""
    data: dict[str, Any] = {}
    sources = {f"input{number}": {"path": path, "convert": convert} for number, path in enumerate(paths)}
    stage = {
        "kind": "curate",
        "sources": list(sources),
        "steps": list(steps),
        "decontaminate_against": [_problem_set(named, data) for named in against],
    }
    return _recipe("curate", {"sources": sources, "data": data, "stages": {"curate": stage}}, sets)
