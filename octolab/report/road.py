"""The road as a picture: text, tokens, base models, branches, RL and what they solve, with what passed through.

In go a `Run` and its summary; out come an inline SVG for wide screens and the same as an indented list for
narrow ones. Models stand in columns by how often they were trained, each on a row of its own with its RL run
and its result at the right; mixtures are bars in the colours of the list of sources.
"""

from __future__ import annotations

from typing import Any

from octolab.report.answer import zero_shot_sets
from octolab.report.health import mean, series
from octolab.report.plots import binned
from octolab.report.read import Run, Stage
from octolab.report.road_draw import Card, Place, listed, svg
from octolab.report.text import ARROW, compact, count, fixed, number, percent, plural

Record = dict[str, Any]


def road(run: Run, summary: Record, models: dict[str, int], sources: dict[str, int]) -> str:
    """The picture as HTML: `.road-wide` (SVG) and `.road-narrow` (list)."""
    text = [_curate_card(stage) for stage in run.of_kind("curate")]
    text += [_tokenizer_card(stage) for stage in run.of_kind("tokenizer")]
    shards = _shard_rows(run, sources)
    places = _places(run, summary, models, sources)
    return (
        f'<div class="road-wide scroll">{svg(text, shards, places)}</div>'
        f'<div class="road-narrow">{listed(text, shards, places)}</div>'
    )


def _curate_card(stage: Stage) -> Card:
    steps = stage.summary.get("steps") or []
    first = steps[0].get("in") if steps else None
    kept = f"{count(first)} {ARROW} {count(stage.summary.get('documents'))} pages"
    return Card("curate", stage.node, (kept, f"{compact(stage.summary.get('characters'))} characters"))


def _tokenizer_card(stage: Stage) -> Card:
    return Card("tokenizer", stage.node, (f"vocabulary of {count(stage.summary.get('vocab_size'))}",))


def _shard_rows(run: Run, sources: dict[str, int]) -> list[tuple[str, int, str]]:
    """(source, palette index, tokens) summed over the shards of each source."""
    totals: dict[str, float] = {}
    for stage in run.of_kind("shards"):
        source = str(stage.summary.get("source") or stage.node)
        totals[source] = totals.get(source, 0.0) + (number(stage.summary.get("tokens")) or 0.0)
    return [(source, sources[source], compact(tokens)) for source, tokens in totals.items()]


def _train_card(run: Run, stage: Stage, tone: str, sources: dict[str, int]) -> Card:
    metrics, told = run.metrics[stage.node], stage.summary
    losses = series(metrics, "loss")
    loss = told.get("loss", mean(losses[-10:]))
    lines = (f"{compact(told.get('tokens'))} tokens, {plural(len(metrics), 'step')}", f"loss {fixed(loss, 2)}")
    split = {s: number(t) or 0.0 for s, t in (told.get("tokens_by_source") or {}).items()}
    whole = sum(split.values()) or 1.0
    bar = tuple((s, sources.get(s, 0), t / whole) for s, t in split.items())
    return Card("train", stage.node, lines, tone, bar, _curve(losses))


def _rl_card(run: Run, stage: Stage, name: str, tone: str) -> Card:
    accuracy = series(run.metrics[stage.node], "accuracy")
    first, last = stage.summary.get("accuracy_first"), stage.summary.get("accuracy_last")
    change = f"reward {percent(first, unit=False)} {ARROW} {percent(last)}"
    return Card("rl", f"RL on {name}", (plural(len(accuracy), "rollout step"), change), tone, (), _curve(accuracy))


def _result_card(summary: Record, name: str, tone: str, set_: str) -> Card | None:
    model = summary["models"].get(name)
    if model is None:
        return None
    scores = [(model[when] or {}).get(set_) for when in ("before", "after")]
    told = [percent(score["acc"], unit=False) for score in scores if score]
    if not told:
        return None
    n = next(score["n"] for score in scores if score)
    return Card("result", f"{f' {ARROW} '.join(told)}\u202f%", (f"of {set_}", f"n = {count(n)}"), tone)


def _curve(values: list[float | None]) -> tuple[float, ...]:
    _, y = binned(values, values, 40)
    return tuple(v for v in y if v is not None)


def _places(run: Run, summary: Record, models: dict[str, int], sources: dict[str, int]) -> list[Place]:
    """The model tree laid out: depth gives the column, each branch a row."""
    parents = {stage.node: run.model_parent(stage) for stage in run.of_kind("model", "train")}
    children: dict[str | None, list[str]] = {}
    for node, parent in parents.items():
        children.setdefault(parent if parent in parents else None, []).append(node)
    rl = {node: [n for n, r in run.rl_names().items() if run.model_parent(run.stages[r]) == node] for node in parents}
    deepest = max((_depth(node, parents) for node in parents), default=0)
    sets = zero_shot_sets(summary)
    places: list[Place] = []

    def add(card: Card, column: int, row: int, parent: int | None) -> int:
        places.append(Place(card, column, row, parent))
        return len(places) - 1

    def grow(node: str, parent: int | None, row: int) -> int:
        """Lay out `node` from `row` on and return the next free row."""
        stage, depth = run.stages[node], _depth(node, parents)
        names = rl[node] or [node]
        tone = f"m{models[names[0]]}" if names[0] in models else ""
        if stage.kind == "train":
            card = _train_card(run, stage, tone, sources)
        else:
            size = f"{compact(stage.summary.get('parameters'))} parameters"
            card = Card("model", node, (size, str(stage.summary.get("family") or "")), tone)
        here = add(card, depth, row, parent)
        used = 0
        for name in names:
            tone, at = f"m{models[name]}" if name in models else "", here
            if rl[node]:
                at = add(_rl_card(run, run.stages[run.rl_names()[name]], name, tone), deepest + 1, row + used, here)
            result = _result_card(summary, name, tone, sets[0]) if sets else None
            if result:
                add(result, deepest + 2, row + used, at)
            used += 1 if rl[node] or result else 0
        row += used
        for child in children.get(node, []):
            row = grow(child, here, row)
        return max(row, places[here].row + 1)

    row = 0
    for root in children.get(None, []):
        row = grow(root, None, row)
    return places


def _depth(node: str, parents: dict[str, str | None]) -> int:
    parent = parents[node]
    return 0 if parent is None or parent not in parents else 1 + _depth(parent, parents)
