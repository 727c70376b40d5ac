"""Looking at run directories: status, report, the difference between two, and what nothing needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from octolab.pipeline.graph import Graph
from octolab.recipe.load import load_recipe
from octolab.recipe.schema import Recipe
from octolab.store.atomic import read_json
from octolab.store.lock import run_lock
from octolab.store.rundir import RunDir, open_run, remove, size


def _recipe_of(directory: RunDir) -> Recipe:
    return load_recipe(directory.path / "recipe.yaml")


def status_of(folder: Path) -> dict[str, Any]:
    """Every node of a run: finished, unfinished or waiting, with its seconds and last metrics.

    Raises:
        UserError: the folder is no run directory.
    """
    directory = open_run(folder)
    nodes = []
    for name, node in Graph(_recipe_of(directory)).nodes.items():
        manifest = directory.manifest(name)
        begun = (directory.stage(name) / "started.json").exists()
        entry = {
            "node": name,
            "kind": node.kind,
            "state": "finished" if manifest else ("unfinished" if begun else "waiting"),
            "seconds": manifest["seconds"] if manifest else None,
            "summary": manifest["summary"] if manifest else None,
        }
        nodes.append(entry)
    return {"run": str(folder), "nodes": nodes}


def status_text(status: dict[str, Any]) -> str:
    """The status for people."""
    lines = [
        f"{entry['node']:<28} {entry['kind']:<10} {entry['state']:<10} "
        + (f"{entry['seconds']:8.1f} s  {headline(entry)}" if entry["seconds"] is not None else "")
        for entry in status["nodes"]
    ]
    done = sum(entry["state"] == "finished" for entry in status["nodes"])
    return "\n".join([*lines, f"{done} of {len(lines)} finished"])


def headline(entry: dict[str, Any]) -> str:
    """The one number to see of a finished node."""
    summary = entry["summary"]
    if entry["kind"] == "train":
        return f"loss {summary['loss']:.3f} after {summary['tokens']:,} tokens" if summary["loss"] is not None else ""
    if entry["kind"] == "rl":
        first, last = summary["accuracy_first"], summary["accuracy_last"]
        return f"accuracy {first:.1%} -> {last:.1%}" if first is not None and last is not None else "nothing scored"
    if entry["kind"] == "evaluate":
        return ", ".join(f"{name} {one['acc']:.1%}" for name, one in summary["sets"].items())
    if entry["kind"] in ("curate", "shards"):
        return f"{summary['documents']:,} documents"
    return ""


def report_of(folder: Path) -> Path:
    """Write a run's summary and page anew from what is finished; returns the page's path.

    Raises:
        UserError: the folder is no run directory, a process is at work in it, or a file of a finished stage is
            absent or torn.
    """
    from octolab.report import write_report

    directory = open_run(folder)
    with run_lock(directory.path):
        return write_report(directory.path, set(Graph(_recipe_of(directory)).nodes))


def diff_of(first: Path, second: Path) -> dict[str, Any]:
    """Settings that differ (as dotted recipe fields) and results of both runs.

    Raises:
        UserError: one of them is no run directory.
    """
    recipes, results = [], []
    for folder in (first, second):
        directory = open_run(folder)
        recipes.append(_flat(_recipe_of(directory).model_dump(mode="json", by_alias=True, exclude_none=True)))
        summary = directory.path / "summary.json"
        results.append(_accuracies(read_json(summary)) if summary.exists() else {})
    return {
        "runs": [str(first), str(second)],
        "settings": _differences(*recipes),
        "results": {name: [result.get(name) for result in results] for name in sorted(results[0] | results[1])},
    }


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{place}.{name}".lstrip(".")).items()}
    return {place: value}


def _differences(one: dict[str, Any], two: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [one.get(name), two.get(name)] for name in sorted(one | two) if one.get(name) != two.get(name)}


def _accuracies(summary: dict[str, Any]) -> dict[str, float]:
    return {
        f"{model} {when} {name}": scores["acc"]
        for model, both in summary["models"].items()
        for when in ("before", "after")
        for name, scores in (both.get(when) or {}).items()
    }


def diff_text(value: dict[str, Any]) -> str:
    """The difference for people."""
    lines = [f"settings: {value['runs'][0]} | {value['runs'][1]}"]
    lines += [f"  {name}: {one!r} | {two!r}" for name, (one, two) in value["settings"].items()] or ["  the same"]
    lines.append("accuracy:")
    for name, (one, two) in value["results"].items():
        shown = ["-" if number is None else f"{number:.1%}" for number in (one, two)]
        change = "" if one is None or two is None else f"  {100 * (two - one):+.1f} points"
        lines.append(f"  {name}: {shown[0]} | {shown[1]}{change}")
    return "\n".join(lines)


def collect_garbage(folder: Path, dry_run: bool) -> list[dict[str, Any]]:
    """Remove (or only list) superseded folders and nodes that the recipe no longer has.

    Raises:
        UserError: the folder is no run directory, or a process is at work in it.
    """
    directory = open_run(folder)
    with run_lock(directory.path):
        garbage = directory.garbage(set(Graph(_recipe_of(directory)).nodes))
        found = [{"path": str(path), "bytes": size(path)} for path in garbage]
        if not dry_run:
            for path in garbage:
                remove(path)
    return found
