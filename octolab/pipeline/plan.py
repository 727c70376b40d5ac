"""What a recipe will do and cost, before it does anything.

Tokens and steps are exact. FLOPs count the matrices and attention, forward and backward (three forward passes);
rollouts are counted at their cap; prompts and evaluation are not counted. GPU-hours assume 40% of an H100's 989
dense bf16 TFLOP/s. Disk counts the last checkpoint with Adam's moments.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from octolab.errors import UserError
from octolab.model.config import DecoderConfig
from octolab.pipeline.graph import Graph, Node
from octolab.pipeline.keys import keys_of
from octolab.pipeline.origins import model_commit
from octolab.recipe.data import ModelSpec
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import EvaluateStage, RLStage, TokenizerStage, TrainStage
from octolab.rl.length_schedule import max_tokens_at
from octolab.store.atomic import read_json
from octolab.store.rundir import RunDir

H100_FLOPS = 989e12
UTILISATION = 0.4


def plan_of(recipe: Recipe, out: Path | None = None) -> dict[str, Any]:
    """The resolved graph with derived numbers; with a run directory also what is already done there.

    Raises:
        UserError: the recipe's references do not fit together.
    """
    graph = Graph(recipe)
    directory = out or Path("runs") / recipe.name
    states, note = _states(graph, directory)
    nodes = [{"node": node.name, "kind": node.kind, "state": states.get(node.name), **_cost(graph, node)}
             for node in graph.nodes.values()]  # fmt: skip
    flops = [entry["flops"] for entry in nodes if entry.get("flops")]
    total = {
        "flops": sum(flops),
        "h100_hours": sum(flops) / (H100_FLOPS * UTILISATION) / 3600,
        "disk_bytes": sum(entry.get("disk_bytes") or 0 for entry in nodes),
        "sizes_unknown": [entry["node"] for entry in nodes if "flops" in entry and entry["flops"] is None],
    }
    return {"name": recipe.name, "directory": str(directory), "nodes": nodes, "total": total, "note": note}


def _states(graph: Graph, directory: Path) -> tuple[dict[str, str], str]:
    try:
        keys = keys_of(graph)
    except UserError as error:
        return {}, f"what can be reused is not known: {error}"
    run = RunDir(directory)
    found = {name: run.find(name, one.key, one.base, one.extendable).state for name, one in keys.items()}
    return {name: str(state) for name, state in found.items()}, ""


def _cost(graph: Graph, node: Node) -> dict[str, Any]:
    """Derived numbers of one node."""
    entry: dict[str, Any] = {"from": node.parents.get("from") or node.parents.get("of")}
    spec = node.spec
    if isinstance(spec, TrainStage):
        config = model_config(graph, node)
        tokens = spec.steps * spec.sequences_per_step * spec.sequence_length
        entry |= {
            "steps": spec.steps,
            "tokens_per_step": spec.sequences_per_step * spec.sequence_length,
            "tokens": tokens,
            "tokens_by_source": {name: round(share * tokens) for name, share in spec.mixture.items()},
            "flops": 3 * tokens * config.flops_per_token(spec.sequence_length) if config else None,
            "disk_bytes": 12 * config.parameters() if config else None,
        }
    if isinstance(spec, RLStage):
        config = model_config(graph, node)
        completions = spec.prompts_per_step * spec.samples_per_prompt
        most = sum(completions * max_tokens_at(spec.max_tokens, step) for step in range(spec.steps))
        entry |= {
            "steps": spec.steps,
            "completions_per_step": completions,
            "updates": spec.steps * spec.updates_per_step,
            "completions_per_update": completions // spec.updates_per_step,
            "tokens_at_most": most,
            "flops": 4 * most * config.flops_per_token(max_tokens_at(spec.max_tokens, spec.steps)) if config else None,
            "disk_bytes": 12 * config.parameters() if config else None,
        }
    if isinstance(spec, EvaluateStage):
        entry |= {"benchmarks": spec.benchmarks, "samples": spec.samples}
    if isinstance(spec, ModelSpec):
        config = model_config(graph, node)
        entry |= {"parameters": config.parameters() if config else None}
    return entry


def model_config(graph: Graph, node: Node) -> DecoderConfig | None:
    """The model a node works on; None where only a hub config or an untrained tokenizer would tell its sizes."""
    while node.kind != "model":
        node = graph.nodes[node.parents["from"]]
    spec = node.spec
    assert isinstance(spec, ModelSpec)
    if spec.path is not None:
        from octolab.model.hf import read_config

        return read_config(Path(spec.path))
    if spec.init is None:
        return _hub_config(node.name, spec)
    return DecoderConfig.of_family(
        spec.init.family,
        vocab_size=_vocabulary(graph, node, spec),
        width=spec.init.width,
        layers=spec.init.layers,
        heads=spec.init.heads,
        kv_heads=spec.init.kv_heads or spec.init.heads,
        ffn=spec.init.ffn,
        positions=spec.init.positions,
        tied=spec.init.tied,
        rope_theta=spec.init.rope_theta,
    )


def _vocabulary(graph: Graph, node: Node, spec: ModelSpec) -> int:
    if "tokenizer" in node.parents:
        stage = graph.nodes[node.parents["tokenizer"]].spec
        assert isinstance(stage, TokenizerStage)
        return stage.vocab_size
    from octolab.tokens.tokenizer import Tokenizer

    folder = Path(str(spec.tokenizer))
    return Tokenizer.load(folder).vocab_size if folder.is_dir() else 32_000


@cache
def _hub_config(name: str, spec: ModelSpec) -> DecoderConfig | None:
    """The hub's config.json from the cache or, where it can be reached, the hub; else None: the plan says so."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    repo = str(spec.hub)
    file = try_to_load_from_cache(repo, "config.json", revision=spec.revision)
    if not isinstance(file, str):
        try:
            file = hf_hub_download(repo, "config.json", revision=model_commit(name, spec))
        except (UserError, OSError):  # out of reach, or gated: the latter is one of the hub's OSErrors
            return None
    return DecoderConfig.from_hf(read_json(Path(file)), repo)


def plan_text(plan: dict[str, Any]) -> str:
    """The plan for people."""
    lines = [f"{plan['name']} -> {plan['directory']}", ""]
    for entry in plan["nodes"]:
        lines.append(f"{entry['node']:<28} {entry['kind']:<10} {entry['state'] or '':<10} {_facts(entry)}")
    total = plan["total"]
    lines += [
        "",
        f"total: {total['flops']:.3g} FLOPs, about {total['h100_hours']:,.2f} H100-hours at {UTILISATION:.0%} of peak "
        f"(RL at its caps; prompts and evaluation not counted), {total['disk_bytes'] / 1e9:,.2f} GB of checkpoints",
    ]
    if total["sizes_unknown"]:
        lines.append(f"sizes unknown without the hub, not counted: {', '.join(total['sizes_unknown'])}")
    if plan["note"]:
        lines.append(plan["note"])
    return "\n".join(lines)


def _facts(entry: dict[str, Any]) -> str:
    facts = []
    if entry.get("from"):
        facts.append(f"from {entry['from']}")
    if "tokens" in entry:
        facts.append(f"{entry['steps']:,} steps x {entry['tokens_per_step']:,} = {entry['tokens']:,} tokens")
    if "completions_per_step" in entry:
        facts.append(
            f"{entry['steps']:,} steps x {entry['completions_per_step']:,} completions, {entry['updates']:,} updates "
            f"of {entry['completions_per_update']:,}, at most {entry['tokens_at_most']:,} tokens"
        )
    if entry.get("parameters"):
        facts.append(f"{entry['parameters']:,} parameters")
    if entry.get("benchmarks"):
        facts.append(f"{', '.join(entry['benchmarks'])} x {entry['samples']}")
    if entry.get("flops"):
        facts.append(f"{entry['flops']:.2g} FLOPs")
    return "; ".join(facts)
