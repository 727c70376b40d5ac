"""From a recipe to nodes: one for every model, shard set and stage, with parents.

Several parents or a matrix make one node each: `rl/long`, `rl/long@seed=1`. For every (source, tokenizer,
sequence length) in use there is one shared `shards` node. References are names or patterns (`rl/*`). What a
reference does not find, and stages that wait for each other in a circle, are the user's mistakes.
"""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass, field
from typing import Any

from octolab.errors import UserError, hint
from octolab.pipeline.names import check_names
from octolab.recipe.fields import Section, semantic
from octolab.recipe.load import stage_of
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import (
    CurateStage,
    EvaluateStage,
    ReportStage,
    RLStage,
    Stage,
    TokenizerStage,
    TrainStage,
    without_setting,
)

SHARDS = "shards"
"""First part of the names of the nodes that hold tokenised sources."""
FIXED = ("kind", "matrix")
"""Fields of a stage that a matrix cannot span."""


class ShardsSpec(Section):
    """Settings of a shards node, which the graph adds."""

    source: str = semantic()
    """Source whose documents it holds."""
    sequence_length: int = semantic()
    """Tokens in a row."""


@dataclass(frozen=True)
class Node:
    """One unit of work. `parents` maps a role to a node's name; roles with the same prefix are read together."""

    name: str
    kind: str
    spec: Section
    seed: int
    parents: dict[str, str] = field(default_factory=dict)
    suffix: str = ""


class Graph:
    """All nodes of a recipe; `nodes` is in an order in which parents come first."""

    def __init__(self, recipe: Recipe) -> None:
        """Raises:
        UserError: a name is unknown or used twice, or stages go in a circle.
        """
        check_names(recipe)
        self.recipe = recipe
        self.nodes: dict[str, Node] = {}
        self._stages: dict[str, list[str]] = {}
        self._open: list[str] = []
        for name in recipe.models:
            if name in recipe.stages:
                raise UserError(f"models.{name} and stages.{name} have one name; rename one of them")
        for section, names in (("models", recipe.models), ("stages", recipe.stages)):
            if SHARDS in names:
                raise UserError(f"{section}.{SHARDS}: this name is kept for tokenised sources; choose another")
        late = (EvaluateStage, ReportStage)  # evaluation scores every source in use, the report shows everything
        for name in [name for name, stage in recipe.stages.items() if not isinstance(stage, late)]:
            self._expand(name)
        for name in [name for name, stage in recipe.stages.items() if isinstance(stage, EvaluateStage)]:
            self._expand(name)
        for name, stage in recipe.stages.items():
            if isinstance(stage, ReportStage):
                parents = {f"input/{other}": other for other in self.nodes}
                self._add(Node(name, "report", stage, recipe.seed, parents))

    def _add(self, node: Node) -> str:
        assert node.name not in self.nodes, node.name
        self.nodes[node.name] = node
        return node.name

    # -- references ---------------------------------------------------------------------------------------

    def find(self, reference: str, where: str) -> list[str]:
        """Nodes with a checkpoint that a reference names: all of a model or stage, one of them, or a pattern's.

        `rl/*` means all nodes of `rl`, also the one of a stage with one parent.

        Raises:
            UserError: it names nothing, or a stage that makes no model.
        """
        known = [*self.recipe.models, *self._runnable()]
        stage = reference.split("/")[0].split("@")[0]
        if stage in self.recipe.stages and stage not in known:
            kind = self.recipe.stages[stage].kind
            raise UserError(
                f"{where} names {reference!r}, which is a stage of kind {kind} and makes no model{hint('', known)}"
            )
        nodes = [node for name in fnmatch.filter(known, stage) for node in self._nodes(name)]
        whole = reference in (stage, f"{stage}/*")
        found = nodes if whole else [node for node in nodes if fnmatch.fnmatchcase(node, reference)]
        if not found:
            advice = hint(reference, nodes or known)
            raise UserError(f"{where} names {reference!r}, which is neither a model nor a stage{advice}")
        return found

    def _nodes(self, name: str) -> list[str]:
        return [self._model(name)] if name in self.recipe.models else self._expand(name)

    def _runnable(self) -> list[str]:
        return [name for name, stage in self.recipe.stages.items() if isinstance(stage, TrainStage | RLStage)]

    # -- expansion ----------------------------------------------------------------------------------------

    def _expand(self, name: str) -> list[str]:
        if name in self._stages:
            return self._stages[name]
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise UserError(f"stages wait for each other in a circle: {circle}; change one `from`")
        self._open.append(name)
        stage = self.recipe.stages[name]
        made: list[str] = []
        for suffix, variant in self._variants(name, stage):
            made.extend(self._nodes_of(name, variant, suffix))
        self._open.pop()
        self._stages[name] = made
        return made

    def _variants(self, name: str, stage: Stage) -> list[tuple[str, Stage]]:
        """One stage for every combination of its matrix, with the suffix of the node's name.

        Raises:
            UserError: a field is unknown or cannot vary, or has no values or equal ones.
        """
        if not stage.matrix:
            return [("", stage)]
        for place, values in stage.matrix.items():
            where = f"stages.{name}.matrix.{place}"
            if place in FIXED:
                raise UserError(f"{where}: a matrix cannot span `{place}`; write a stage for each")
            if not values:
                raise UserError(f"{where} has no values; give at least one or leave it out")
            if len(set(_labels(values))) < len(values):
                raise UserError(f"{where} has a value twice; leave one out")
        plain = stage.model_dump(by_alias=True, exclude={"matrix"})
        if "setting" in stage.matrix:
            plain = without_setting(plain)
        variants = []
        choices = [list(zip(_labels(values), values, strict=True)) for values in stage.matrix.values()]
        for combination in itertools.product(*choices):
            changed = plain
            for place, (_, value) in zip(stage.matrix, combination, strict=True):
                changed = _with(changed, place.split("."), value)
            suffix = ",".join(f"{place}={label}" for place, (label, _) in zip(stage.matrix, combination, strict=True))
            variants.append((f"@{suffix}", stage_of(changed, name, "matrix")))
        return variants

    def _nodes_of(self, name: str, stage: Stage, suffix: str) -> list[str]:
        where = f"stages.{name}"
        seed = self.recipe.seed if stage.seed is None else stage.seed
        if isinstance(stage, TrainStage | RLStage):
            several = isinstance(stage.from_, list)
            references = stage.from_ if isinstance(stage.from_, list) else [stage.from_]
            parents = [node for reference in references for node in self.find(reference, f"{where}.from")]
            return [self._one(name, stage, seed, suffix, parent, several) for parent in dict.fromkeys(parents)]
        if isinstance(stage, EvaluateStage):
            models = [node for reference in stage.of for node in self.find(reference, f"{where}.of")]
            return [self._evaluation(name, stage, seed, suffix, node) for node in dict.fromkeys(models)]
        assert isinstance(stage, CurateStage | TokenizerStage)
        parents_by_role: dict[str, str] = {}
        for source in stage.sources:
            parents_by_role |= self._source_parent(source, f"{where}.sources")
        return [self._add(Node(name + suffix, stage.kind, stage, seed, parents_by_role, suffix))]

    def _one(self, name: str, stage: TrainStage | RLStage, seed: int, suffix: str, parent: str, several: bool) -> str:
        suffix = _joined(self.nodes[parent].suffix, suffix)
        label = parent.removesuffix(self.nodes[parent].suffix) if self.nodes[parent].suffix else parent
        node_name = (f"{name}/{label}" if several else name) + suffix
        parents = {"from": parent}
        if isinstance(stage, TrainStage):
            for source in stage.mixture:
                parents[f"shards/{source}"] = self._shards(source, parent, stage.sequence_length, f"stages.{name}")
        return self._add(Node(node_name, stage.kind, stage, seed, parents, suffix))

    def _evaluation(self, name: str, stage: EvaluateStage, seed: int, suffix: str, model: str) -> str:
        parents = {"of": model}
        wanted = stage.bits_per_byte
        for node in list(self.nodes.values()):
            if isinstance(node.spec, ShardsSpec) and (wanted is None or node.spec.source in wanted):
                parents.setdefault(f"shards/{node.spec.source}", node.name)
        for source in wanted or []:
            if f"shards/{source}" not in parents:
                raise UserError(
                    f"stages.{name}.bits_per_byte names {source!r}, which no train stage before it uses; leave it out"
                )
        return self._add(Node(f"{name}/{model}{suffix}", "evaluate", stage, seed, parents, suffix))

    # -- nodes that the graph adds ------------------------------------------------------------------------

    def _model(self, name: str) -> str:
        if name not in self.nodes:
            spec = self.recipe.models[name]
            parents = {}
            if spec.tokenizer in self.recipe.stages:
                if not isinstance(self.recipe.stages[str(spec.tokenizer)], TokenizerStage):
                    raise UserError(f"models.{name}.tokenizer names {spec.tokenizer}, which is no tokenizer stage")
                parents["tokenizer"] = self._only_node(str(spec.tokenizer), f"models.{name}.tokenizer")
            self._add(Node(name, "model", spec, self.recipe.seed, parents))
        return name

    def _source_parent(self, source: str, where: str) -> dict[str, str]:
        """The curate stage that a source comes from, if any.

        Raises:
            UserError: there is no such source or stage.
        """
        if source not in self.recipe.sources:
            raise UserError(
                f"{where} names source {source!r}, which is unknown{hint(source, list(self.recipe.sources))}"
            )
        stage = self.recipe.sources[source].from_
        if stage is None:
            return {}
        if not isinstance(self.recipe.stages.get(stage), CurateStage):
            known = [name for name, one in self.recipe.stages.items() if isinstance(one, CurateStage)]
            raise UserError(f"sources.{source}.from names {stage!r}, which is no curate stage{hint(stage, known)}")
        return {f"documents/{source}": self._only_node(stage, f"sources.{source}.from")}

    def _only_node(self, stage: str, where: str) -> str:
        """The node of a stage that must not be several.

        Raises:
            UserError: a matrix makes it several.
        """
        nodes = self._expand(stage)
        if len(nodes) > 1:
            raise UserError(f"{where} names {stage}, which its matrix makes {len(nodes)} nodes; write a stage for each")
        return nodes[0]

    def _shards(self, source: str, checkpoint: str, length: int, where: str) -> str:
        tokenizer = self._tokenizer(checkpoint)
        parents = {"tokenizer": tokenizer} | self._source_parent(source, f"{where}.mixture")
        spec = ShardsSpec(source=source, sequence_length=length)
        for node in self.nodes.values():
            if node.kind == "shards" and node.spec == spec and node.parents == parents:
                return node.name
        name = f"{SHARDS}/{source}"
        if name in self.nodes:
            name += f"@{tokenizer},{length}"
        return self._add(Node(name, "shards", spec, 0, parents))

    def _tokenizer(self, checkpoint: str) -> str:
        """The node whose tokenizer a checkpoint uses: the tokenizer stage or the base model."""
        node = self.nodes[checkpoint]
        while node.kind != "model":
            node = self.nodes[node.parents["from"]]
        return node.parents.get("tokenizer", node.name)


def _with(values: dict[str, Any], place: list[str], value: Any) -> dict[str, Any]:
    """A copy of nested `values` with one place changed."""
    if len(place) == 1:
        return values | {place[0]: value}
    inner = values.get(place[0])
    return values | {place[0]: _with(inner if isinstance(inner, dict) else {}, place[1:], value)}


def _labels(values: list[Any]) -> list[str]:
    """How the values of a matrix field are called in node names: plain ones by themselves, others by number."""
    return [
        f"v{number}" if isinstance(value, dict | list) or "/" in str(value) else str(value)
        for number, value in enumerate(values, start=1)
    ]


def _joined(first: str, second: str) -> str:
    return f"{first},{second[1:]}" if first and second else first or second
