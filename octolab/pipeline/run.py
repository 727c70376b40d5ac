"""Running a recipe: what is there is reused, what was begun goes on, what changed is made again.

For every node, in order: the same key and a manifest, reused; begun for the same key, resumed; the same base
key and a larger extendable value, continued; else made anew, with the old folder moved to `.superseded`.
Nothing that took more than ten minutes is put aside unless the user names it with --redo.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

import octolab
from octolab.errors import UserError, hint
from octolab.pipeline.console import StageView
from octolab.pipeline.graph import Graph, Node
from octolab.pipeline.keys import STAGE_VERSION, Keys, keys_of
from octolab.pipeline.prepare import Run
from octolab.pipeline.work import WORK
from octolab.recipe.schema import Recipe, written
from octolab.store.atomic import read_json, write_json, write_text
from octolab.store.lock import run_lock
from octolab.store.logs import finite
from octolab.store.rundir import PRECIOUS_SECONDS, Found, RunDir


@dataclass(frozen=True)
class Outcome:
    """What a run did: every node with `reused`, `resumed`, `continued` or `made`, and its seconds now."""

    directory: Path
    nodes: dict[str, tuple[str, float]]


def run_recipe(
    recipe: Recipe,
    out: Path,
    *,
    only: str | None = None,
    redo: Sequence[str] = (),
    console: Console | None = None,
) -> Outcome:
    """Run a recipe in `out`, or, with `only`, the named stage and what it needs.

    Raises:
        UserError: any mistake of the user's, and a second process on the directory.
    """
    console = console or Console(stderr=True)
    graph = Graph(recipe)
    wanted = selection(graph, only)
    keys = keys_of(graph, wanted)
    directory = RunDir(Path(out))
    with run_lock(directory.path):
        directory.sweep()
        dump = yaml.safe_dump(written(recipe), sort_keys=False)
        _refuse_waste(directory, graph, keys, wanted, redo)
        write_text(directory.path / "recipe.yaml", dump)
        done: dict[str, tuple[str, float]] = {}
        for name in wanted:
            forced = _matches(name, redo)
            done[name] = _one(Run(recipe, graph, directory), graph.nodes[name], keys[name], forced, console)
    return Outcome(directory.path, done)


def selection(graph: Graph, only: str | None) -> list[str]:
    """Names of the nodes to run, parents first.

    Raises:
        UserError: `only` names nothing.
    """
    if only is None:
        return list(graph.nodes)
    roots = [name for name in graph.nodes if _matches(name, [only])]
    if not roots:
        raise UserError(f"--only {only}: there is no such stage{_nearest_node(only, graph)}")
    needed: set[str] = set()
    stack = roots
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack.extend(graph.nodes[name].parents.values())
    return [name for name in graph.nodes if name in needed]


def _nearest_node(name: str, graph: Graph) -> str:
    return hint(name, list(dict.fromkeys([*graph.recipe.stages, *graph.nodes])))


def _matches(node: str, names: Iterable[str]) -> bool:
    """Whether a node is named: by itself, without its matrix values, or by its stage."""
    return any(name in (node, node.split("@")[0], node.split("@")[0].split("/")[0]) for name in names)


def _refuse_waste(
    directory: RunDir, graph: Graph, keys: dict[str, Keys], wanted: list[str], redo: Sequence[str]
) -> None:
    """Raises:
    UserError: a changed node holds more than ten minutes of work that nobody said to put aside.
    """
    for name in redo:
        if not any(_matches(node, [name]) for node in graph.nodes):
            raise UserError(f"--redo {name}: there is no such stage{_nearest_node(name, graph)}")
    found = {name: _found(directory, name, keys[name]) for name in wanted if not _matches(name, redo)}
    precious = {
        name: one.seconds for name, one in found.items() if one.state == "changed" and one.seconds > PRECIOUS_SECONDS
    }
    if precious:
        held = ", ".join(f"{name} ({seconds / 60:.0f} minutes)" for name, seconds in precious.items())
        words = " ".join(f"--redo {name}" for name in precious)
        raise UserError(
            f"{directory.path} holds work that was made with other settings: {held}; put it aside with {words}, or "
            "choose another --out"
        )


def _found(directory: RunDir, name: str, keys: Keys) -> Found:
    return directory.find(name, keys.key, keys.base, keys.extendable)


def _one(run: Run, node: Node, keys: Keys, forced: bool, console: Console) -> tuple[str, float]:
    """Bring one node to its finished state; says how and how long it took now."""
    directory = run.directory
    found = _found(directory, node.name, keys)
    if found.state == "finished" and not forced and node.kind != "report":
        return "reused", 0.0
    # Of a changed stage --redo only says that it may be put aside; another one it makes anew.
    reusable = found.state == "changed" or not forced
    if found.state == "changed" or (forced and found.state != "new"):
        directory.supersede(node.name)
        found = Found("new", 0.0, None)
    if found.state == "new" and reusable and directory.restore(node.name, keys.key):
        return _one(run, node, keys, False, console)
    how = {"new": "made", "unfinished": "resumed", "extendable": "continued", "finished": "made"}[found.state]
    folder = directory.begin(node.name, keys.key, keys.base, keys.extendable, found.seconds)
    begun = time.perf_counter()
    with StageView(console, node.name, folder) as view:
        _announce(folder, node, view)
        view.log(f"{how}: key {keys.key}")
        try:
            summary, outputs = WORK[node.kind](run, node, view.io())
        except UserError as error:
            view.log(f"stopped: {error}")
            raise UserError(f"stage {node.name}: {error}") from error
    seconds = time.perf_counter() - begun
    manifest = {
        "node": node.name,
        "kind": node.kind,
        "status": "finished",
        "key": keys.key,
        "base_key": keys.base,
        "extendable": keys.extendable,
        "stage_version": STAGE_VERSION[node.kind],
        "spec": node.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "seed": node.seed,
        "parents": node.parents,
        "outputs": {name: _relative(path, directory.path) for name, path in outputs.items()},
        "summary": finite(summary),
        "seconds": found.seconds + seconds,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(node),
    }
    write_json(folder / "manifest.json", manifest)
    if console.is_terminal or seconds > 1:
        console.print(f"[green]{how:>9}[/green] {node.name} [dim]{seconds:.1f} s[/dim]", highlight=False)
    return how, seconds


def _relative(path: Path, root: Path) -> str:
    return os.path.relpath(path, root) if path.is_relative_to(root) else str(path)


def environment(node: Node) -> dict[str, Any]:
    """What the promise of same bits depends on."""
    import torch

    return {
        "octolab": octolab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "compile": getattr(node.spec, "compile", False),
        "machine": f"{platform.machine()} {_processor()}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _announce(folder: Path, node: Node, view: StageView) -> None:
    """Say when an unfinished stage goes on under another environment: its bits may then differ."""
    file = folder / "environment.json"
    now = environment(node)
    if file.exists():
        before = read_json(file)
        for name in sorted(now):
            if before.get(name) != now[name]:
                text = f"{name} was {before.get(name)} and is now {now[name]}: results may differ in the last bits"
                view.log(text)
                view.console.print(f"[yellow]{view.node}: {text}[/yellow]", highlight=False)
    write_json(file, now)
