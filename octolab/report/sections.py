"""The parts of the page that are neither tables nor plots: the panel of gains, the corpus, the frames of plots.

In go the summary and the `Run`, out comes HTML. Every name and every text passes `esc` here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from octolab.report.answer import zero_shot_sets
from octolab.report.read import Run, Stage
from octolab.report.tables import chip, swatch
from octolab.report.text import ARROW, DASH, compact, count, esc, percent, points

Record = dict[str, Any]
SCALES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MOST_EXAMPLES = 3


def gains_panel(summary: Record, models: dict[str, int]) -> str:
    """For every zero-shot set: each model's accuracy before and after RL on one scale, with intervals."""
    sets = [s for s in zero_shot_sets(summary) if any(s in m["before"] for m in summary["models"].values())]
    return "".join(_gains(summary, models, set_) for set_ in sets[:4])


def _gains(summary: Record, models: dict[str, int], set_: str) -> str:
    pairs = {n: (m["before"].get(set_), (m["after"] or {}).get(set_)) for n, m in summary["models"].items()}
    tops = [max(s["acc"] or 0.0, *(s["ci95"] or [0.0])) for pair in pairs.values() for s in pair if s]
    top = next((scale for scale in SCALES if scale >= max(tops, default=0.0)), 1.0)
    verdicts = {c["id"]: c for c in summary["claims"]}
    rows = ""
    moved_any = any(after for _, after in pairs.values())
    for name, (before, after) in pairs.items():
        if not after and (moved_any or not before):  # what RL was not evaluated on stands in the table below
            continue
        claim = verdicts.get(f"gain/{name}/{set_}")
        moved = (
            ""
            if claim is None or not before or not after
            else f"<b>{points(claim['effect'])}</b> {chip(claim['verdict'])}"
        )
        marks = _join(before, after, top) + _mark(before, "was", top) + _mark(after, "now", top)
        told = " → ".join(percent(s["acc"]) for s in (before, after) if s)
        rows += (
            f'<li style="--tone:var(--m{models[name]})">'
            f'<span class="name" title="{esc(name)}">{swatch(name, models, label=_short(name))}</span>'
            f'<span class="track" role="img" aria-label="{esc(told)}">{marks}</span>'
            f'<span class="gain">{moved}</span></li>'
        )
    ticks = "".join(
        f'<i style="left:{100 * i / 4:g}%">{percent(top * i / 4, False).removesuffix(".0")}</i>' for i in range(5)
    )
    return (
        f'<div class="gains"><h3>{esc(set_)} <span class="note">accuracy in percent, ○ before and ● after RL, '
        f"95\u202f% intervals; gain in points</span></h3><ul>{rows}</ul>"
        f'<div class="axis"><span class="track">{ticks}</span></div></div>'
    )


def _short(name: str) -> str:
    """`rl_rates@learning_rate=5e-5` as `rl_rates 5e-5`."""
    return re.sub(r"[@,](?:\w+\.)*\w+=", " ", name)


def _mark(score: Record | None, kind: str, top: float) -> str:
    if not score or score["acc"] is None:
        return ""
    low, high = score["ci95"] or (score["acc"], score["acc"])
    span = f"left:{100 * low / top:.2f}%;width:{100 * (high - low) / top:.2f}%"
    dot = f"left:{100 * score['acc'] / top:.2f}%"
    return f'<i class="span {kind}" style="{span}"></i><i class="dot {kind}" style="{dot}"></i>'


def _join(before: Record | None, after: Record | None, top: float) -> str:
    if not before or not after or before["acc"] is None or after["acc"] is None:
        return ""
    low, high = sorted((before["acc"], after["acc"]))
    return f'<i class="path" style="left:{100 * low / top:.2f}%;width:{100 * (high - low) / top:.2f}%"></i>'


def plots(figures: list[Record], group: str, tall: bool = False) -> str:
    """Frames for the figures of one group; the page's script draws them."""
    frames = "".join(
        f'<figure class="plot" data-figure="{esc(figure["id"])}"><figcaption><span class="words">'
        f'<span class="title">{esc(figure["title"])}</span><span class="note">{esc(figure["note"])}</span></span>'
        '<span class="tools"><button type="button" data-image="svg">SVG</button>'
        '<button type="button" data-image="png">PNG</button></span></figcaption><div class="canvas"></div></figure>'
        for figure in figures
        if figure["group"] == group
    )
    return f'<div class="plots{" tall" if tall else ""}">{frames}</div>' if frames else ""


def legend(names: list[str], palette: dict[str, int], kind: str = "m", quiet: Collection[str] = ()) -> str:
    """One legend for all plots of a section; for models its entries are switches, those in `quiet` off at first."""
    if kind == "m":
        entries = "".join(
            f'<button type="button" aria-pressed="{"false" if n in quiet else "true"}" data-model="{esc(n)}">'
            f"{swatch(n, palette)}</button>"
            for n in names
        )
    else:
        entries = "".join(f"<span>{swatch(n, palette, kind)}</span>" for n in names)
    return f'<div class="legend">{entries}</div>'


def corpus(run: Run) -> str:
    """What curation kept and dropped, step by step, with examples of dropped pages."""
    return "".join(_curation(stage) for stage in run.of_kind("curate"))


def _curation(stage: Stage) -> str:
    told = stage.summary
    steps = told.get("steps") or []
    whole = max((step.get("in") or 0 for step in steps), default=0) or 1
    rows = "".join(_step(step, whole) for step in steps)
    kept = f"{count(told.get('documents'))} documents, {compact(told.get('characters'))} characters kept"
    return f'<div class="funnel"><h3>{esc(stage.node)} <span class="note">{kept}</span></h3><ol>{rows}</ol></div>'


def _step(step: Record, whole: float) -> str:
    dropped = sorted((step.get("dropped") or {}).items(), key=lambda item: -item[1])
    examples = step.get("examples") or {}
    reasons = "".join(_reason(reason, n, examples.get(reason) or []) for reason, n in dropped)
    kept, lost = (step.get("out") or 0) / whole, ((step.get("in") or 0) - (step.get("out") or 0)) / whole
    shares = f'<i style="width:{100 * kept:.2f}%"></i><i class="lost" style="width:{100 * max(lost, 0):.2f}%"></i>'
    flow = f"{count(step.get('in'))} {ARROW} {count(step.get('out'))}"
    name = f"<strong>{esc(step.get('name', DASH))}</strong>"
    return f'<li>{name}<span class="flow">{flow}</span><span class="bar">{shares}</span><div>{reasons}</div></li>'


def _reason(reason: str, dropped: int, examples: list[Record]) -> str:
    label = f"{esc(reason)} <b>{count(dropped)}</b>"
    if not examples:
        return f'<span class="reason">{label}</span>'
    shown = "".join(
        f'<div class="page"><small>{esc(e.get("id", DASH))}</small>'
        f"<pre>{esc(str(e.get('excerpt') or '')[:600]) or '(empty)'}</pre></div>"
        for e in examples[:MOST_EXAMPLES]
    )
    return f'<details class="reason"><summary>{label}</summary>{shown}</details>'
