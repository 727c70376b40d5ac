"""Which results can be reused: the base key and the key of every node.

The base key hashes the node's semantic fields, its kind's STAGE_VERSION, its seed where it has randomness, its
parents' keys and the fingerprints of the data it reads; the key adds the extendable fields. Runtime fields
enter neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from octolab.pipeline.graph import Graph, Node, ShardsSpec
from octolab.pipeline.names import step_names
from octolab.pipeline.origins import (
    data_origin,
    model_commit,
    module_fingerprint,
    path_fingerprint,
    source_origin,
    tokenizer_commit,
)
from octolab.recipe.data import ModelSpec
from octolab.recipe.fields import role_of
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import CurateStage, EvaluateStage, RLStage, TokenizerStage, TrainStage
from octolab.store.keys import key_of
from octolab.tasks.registry import DATA_SETS

STAGE_VERSION = {
    "model": 1,
    "curate": 1,
    "tokenizer": 1,
    "shards": 1,
    "train": 1,
    "rl": 1,
    "evaluate": 1,
    "report": 1,
}
"""Raised when a kind's mathematics changes, so that old results are not taken for new ones."""

SEEDED = ("model", "train", "rl", "evaluate")
STRUCTURAL = {"matrix", "seed", "from_", "of", "kind"}
"""Fields that the graph has already turned into nodes, parents and seeds."""


@dataclass(frozen=True)
class Keys:
    """`base`: what may be continued; `key`: what may be reused; `extendable`: the fields between the two."""

    base: str
    key: str
    extendable: dict[str, Any]


def keys_of(graph: Graph, names: Iterable[str] | None = None) -> dict[str, Keys]:
    """Keys of the named nodes, parents first; of all where none are named.

    Raises:
        UserError: data that a key depends on is absent.
    """
    keys: dict[str, Keys] = {}
    prints = Fingerprints(graph.recipe)
    for node in (graph.nodes[name] for name in (graph.nodes if names is None else names)):
        fixed, extendable = split_fields(node.spec)
        base = {
            "kind": node.kind,
            "version": STAGE_VERSION[node.kind],
            "fields": fixed,
            "seed": node.seed if _is_seeded(node) else None,
            "parents": {role: keys[parent].key for role, parent in node.parents.items()},
            "data": prints.of(node),
        }
        base_key = key_of(base)
        keys[node.name] = Keys(base_key, key_of([base_key, extendable]), extendable)
    return keys


def _is_seeded(node: Node) -> bool:
    """Whether a node's result depends on its seed: a model only where its weights are random."""
    return node.kind in SEEDED and not (isinstance(node.spec, ModelSpec) and node.spec.init is None)


def split_fields(spec: BaseModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Semantic and extendable fields of a spec as plain values. Steps can be raised only where the schedule does
    not depend on their number."""
    fixed: dict[str, Any] = {}
    extendable: dict[str, Any] = {}
    values = spec.model_dump(mode="json")
    for name in type(spec).model_fields:
        role = role_of(type(spec), name)
        if role == "runtime" or name in STRUCTURAL:
            continue
        if role == "extendable" and not (isinstance(spec, TrainStage) and spec.schedule.cosine is not None):
            extendable[name] = values[name]
        else:
            fixed[name] = values[name]
    return fixed, extendable


class Fingerprints:
    """Fingerprints of what nodes read from outside the run, each taken once."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._known: dict[str, Any] = {}

    def of(self, node: Node) -> dict[str, Any]:
        """Everything outside the run that the node's result depends on."""
        spec = node.spec
        if isinstance(spec, ModelSpec):
            return self.model(node.name, spec)
        if isinstance(spec, ShardsSpec):
            return self.source(spec.source)
        if isinstance(spec, TokenizerStage):
            return {name: self.source(name) for name in spec.sources}
        if isinstance(spec, CurateStage):
            sets = contamination_sets(self.recipe, spec)
            steps = own_code(*step_names(spec))
            rows = {name: self.source(name) for name in spec.sources}
            return rows | {f"data.{one}": self.data(one) for one in sets} | steps
        if isinstance(spec, RLStage):
            return {"prompts": self.data(spec.prompts)} | own_code(spec.reward, spec.template)
        if isinstance(spec, EvaluateStage):
            exemplars = spec.few_shot.exemplars if spec.few_shot else None
            names = [*spec.benchmarks, *([exemplars] if exemplars and is_data(self.recipe, exemplars) else [])]
            return {name: self.data(name) for name in names} | own_code(exemplars, spec.template)
        return {}

    def model(self, name: str, spec: ModelSpec) -> dict[str, Any]:
        """A base model's weights and tokenizer."""
        prints: dict[str, Any] = {}
        if spec.path is not None:
            prints["path"] = path_fingerprint(spec.path, f"models.{name}")
        if spec.hub is not None:
            prints["commit"] = model_commit(name, spec)
        if spec.tokenizer is not None and spec.tokenizer not in self.recipe.stages:
            if Path(spec.tokenizer).is_dir():
                prints["tokenizer"] = path_fingerprint(spec.tokenizer, f"models.{name}.tokenizer")
            else:
                prints["tokenizer"] = tokenizer_commit(name, spec)
        return prints

    def source(self, name: str) -> dict[str, Any]:
        """A source's rows, its converter and limit."""
        spec = self.recipe.sources[name]
        rows = None
        if spec.from_ is None:
            rows = self._once(f"source {name}", lambda: source_origin(self.recipe, name))
        return {"rows": rows, "convert": spec.convert, "own": own_code(spec.convert), "limit": spec.limit}

    def data(self, name: str) -> Any:
        """A problem set's rows and limit."""
        limit = self.recipe.data[name].limit if name in self.recipe.data else None
        return {"rows": self._once(f"data {name}", lambda: data_origin(self.recipe, name)), "limit": limit}

    def _once(self, label: str, origin: Any) -> Any:
        if label not in self._known:
            self._known[label] = origin().fingerprint()
        return self._known[label]


def contamination_sets(recipe: Recipe, stage: CurateStage) -> list[str]:
    """Problem sets that a curate stage decontaminates against: its own list, else all evaluated benchmarks."""
    if "decontaminate" not in step_names(stage):
        return []
    if stage.decontaminate_against is not None:
        return stage.decontaminate_against
    evaluated = [one for one in recipe.stages.values() if isinstance(one, EvaluateStage)]
    return sorted({name for one in evaluated for name in one.benchmarks})


def own_code(*names: str | None) -> dict[str, str]:
    """Fingerprints of those names that are the user's own `module:function`."""
    return {name: module_fingerprint(name, name) for name in names if name and ":" in name}


def is_data(recipe: Recipe, name: str) -> bool:
    """Whether a name of exemplars is a problem set (else it is shipped, or the user's module)."""
    return name in recipe.data or name in DATA_SETS
