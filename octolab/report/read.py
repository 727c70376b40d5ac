"""A run directory, read once: which stages finished, in the order of the flow, and the logs they left.

In goes the path of a run directory; out comes a `Run` that everything else in this folder works from. Only
stages whose manifest says `finished` are read, so a half-written line of a stage still at work is never met;
a torn line in a finished stage, or a manifest that does not parse, is the user's to know about.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from octolab.errors import UserError
from octolab.store.atomic import PARTIAL, read_json
from octolab.store.logs import read_log

FLOW = ("curate", "tokenizer", "shards", "model", "train", "rl", "evaluate")
"""Stage kinds in the order in which a run passes them; a `report` stage describes itself, so is left out."""

MODEL_KINDS = ("model", "train", "rl")
Record = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One finished stage: its manifest and where its artefacts lie."""

    node: str
    kind: str
    folder: Path
    manifest: Record

    @property
    def summary(self) -> Record:
        """Kind-specific numbers of the manifest."""
        return self.manifest.get("summary") or {}

    @property
    def parents(self) -> list[str]:
        """Nodes this stage was made from."""
        return list((self.manifest.get("parents") or {}).values())


@dataclass(frozen=True)
class Run:
    """All that a report needs of a run directory.

    `metrics` is keyed by stage node, `scores` and `samples` by the node of the model that was evaluated.
    """

    path: Path
    recipe: Record
    recipe_text: str
    stages: dict[str, Stage]
    metrics: dict[str, list[Record]] = field(default_factory=dict)
    scores: dict[str, Record] = field(default_factory=dict)
    samples: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The recipe's name, or the directory's."""
        return str(self.recipe.get("name") or self.path.resolve().name)

    @property
    def seed(self) -> int:
        """The recipe's seed (0 where it names none)."""
        return int(self.recipe.get("seed") or 0)

    def of_kind(self, *kinds: str) -> list[Stage]:
        """Finished stages of these kinds, in flow order."""
        return [stage for stage in self.stages.values() if stage.kind in kinds]

    def model_parent(self, stage: Stage) -> str | None:
        """Node of the checkpoint that `stage` started from, or None."""
        made = [node for node in stage.parents if node in self.stages and self.stages[node].kind in MODEL_KINDS]
        named = [node for node in made if stage.node.endswith(f"/{node}")]
        return next(iter(named or made), None)

    def rl_names(self) -> dict[str, str]:
        """Name in the report -> RL node, baseline first.

        The name is the RL parent; where one parent has several RL stages (a matrix), it is the part of the
        node behind the first slash, which tells them apart, or the whole node where that is taken.
        """
        nodes = [stage.node for stage in self.of_kind("rl")]
        parents = [self.model_parent(self.stages[node]) for node in nodes]
        names: dict[str, str] = {}
        for node, parent in zip(nodes, parents):
            shared = parents.count(parent) > 1
            name = parent if parent and not shared else node.partition("/")[2] or node
            names[node if name in names else name] = node
        return names


def read_run(path: Path, nodes: Collection[str] | None = None) -> Run:
    """Read manifests, metrics, scores and sample logs of the run directory `path`; with `nodes` of these only, since
    stages that the recipe no longer has stay where they are until `octolab gc`.

    Raises:
        UserError: no finished stage is there, a manifest or scores file does not parse, or a log of a
            finished stage is absent or torn; the message names the file.
    """
    path = Path(path)
    recipe, text = _recipe(path / "recipe.yaml")
    found = {stage.node: stage for stage in _finished(path / "stages") if nodes is None or stage.node in nodes}
    if not found:
        raise UserError(f"{path} holds no finished stage; give the directory of a run that has got further")
    run = Run(path, recipe, text, _in_flow_order(found, recipe))
    for stage in run.of_kind("train", "rl"):
        run.metrics[stage.node] = list(read_log(stage.folder / "metrics.jsonl"))
    for stage in run.of_kind("evaluate"):
        scores = read_json(stage.folder / "scores.json")
        if not isinstance(scores, dict) or "model" not in scores:
            raise UserError(f"{stage.folder / 'scores.json'} names no model; redo this stage with --redo")
        model = scores["model"]
        known = run.scores.setdefault(model, {"sets": {}, "bits_per_byte": {}})
        known["sets"] |= scores.get("sets") or {}
        known["bits_per_byte"] |= scores.get("bits_per_byte") or {}
        run.samples.setdefault(model, []).extend(read_log(stage.folder / "samples.jsonl"))
    return run


def _recipe(path: Path) -> tuple[Record, str]:
    """The resolved recipe as data and as written; empty where the directory holds none."""
    if not path.exists():
        return {}, ""
    try:
        text = path.read_text(encoding="utf-8")
        recipe = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML; restore it from the recipe of this run") from error
    if not isinstance(recipe, dict):
        raise UserError(f"{path} is not a recipe; restore it from the recipe of this run")
    return recipe, text


def _finished(root: Path) -> Iterator[Stage]:
    """Finished stages below `root`. A manifest.json that names no node of this place is an artefact's own."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and not name.endswith(PARTIAL))
        if "manifest.json" not in files:
            continue
        manifest = read_json(Path(folder) / "manifest.json")
        node = Path(folder).relative_to(root).as_posix()
        if not isinstance(manifest, dict) or manifest.get("node") != node:
            continue
        if manifest.get("status") == "finished" and manifest.get("kind") in FLOW:
            yield Stage(node, manifest["kind"], Path(folder), manifest)


def _in_flow_order(found: dict[str, Stage], recipe: Record) -> dict[str, Stage]:
    """Stages by kind, then parents before children, then as the recipe lists them, then by name."""
    order = _recipe_order(recipe)

    def rank(node: str) -> int:
        base = node.rpartition("/")[2].partition("@")[0]
        return order.get(base, len(order))

    def depth(node: str, seen: frozenset[str] = frozenset()) -> int:
        above = [p for p in found[node].parents if p in found and p not in seen]
        return 1 + max((depth(parent, seen | {node}) for parent in above), default=0)

    nodes = sorted(found, key=lambda n: (FLOW.index(found[n].kind), depth(n), rank(n), n))
    rl = sorted((n for n in nodes if found[n].kind == "rl"), key=rank)
    rest = [n for n in nodes if found[n].kind not in ("rl", "evaluate")]
    return {n: found[n] for n in rest + rl + [n for n in nodes if found[n].kind == "evaluate"]}


def _recipe_order(recipe: Record) -> dict[str, int]:
    """Name -> position: RL parents in the order of their `from` first, then models, sources and stages."""
    names: list[str] = []
    stages = recipe.get("stages") or {}
    for stage in stages.values():
        if isinstance(stage, dict) and stage.get("kind") == "rl":
            start = stage.get("from") or []
            names += [start] if isinstance(start, str) else start
    for part in ("models", "sources", "stages"):
        names += list(recipe.get(part) or {})
    order: dict[str, int] = {}
    for name in names:
        order.setdefault(str(name), len(order))
    return order
