"""Figures as plain Plotly dictionaries, without colours: the page paints them for light, dark and print.

In go a `Run`, its summary and the palette indices of models and sources; out comes a list of figures
{"id", "group", "title", "note", "data", "layout"}. A trace's `meta.tone` is (palette, index). Curves with more
than 400 points are averaged in equal bins; the RL curves show the raw values faintly under a moving average
of weight 0.5, as in the paper's figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from octolab.report.answer import zero_shot_sets
from octolab.report.health import mean, series, smoothed
from octolab.report.read import Run
from octolab.report.text import number

MOST_POINTS = 400
Record = dict[str, Any]
Values = list[float | None]


@dataclass(frozen=True)
class Panel:
    """One RL metric as a panel: `share` is drawn in percent, `shared` panels have one y range."""

    metric: str
    title: str
    note: str = ""
    share: bool = False
    shared: str = ""


PANELS = (
    Panel("accuracy", "Accuracy", "share of rollouts judged correct", share=True),
    Panel("length/all", "Length, all", "tokens; dotted: the cap", shared="length"),
    Panel("length/correct", "Length, correct", "tokens", shared="length"),
    Panel("length/wrong", "Length, wrong", "tokens", shared="length"),
    Panel("length/truncated", "Length, truncated", "tokens", shared="length"),
    Panel("truncated", "Truncated", "share that reached the cap", share=True),
    Panel("no_answer", "No answer", "share without a readable box", share=True),
    Panel("entropy", "Entropy", "nats a token"),
    Panel("groups/mixed", "Mixed groups", "groups with a gradient", share=True),
)
MACHINERY = (
    Panel("repetition", "Repetition", "share of repeated 4-grams", share=True),
    Panel("grad_norm", "Gradient norm", "before clipping"),
    Panel("engine_gap/max", "Engine gap, max", "of log p with the trainer"),
    Panel("clip/high", "Clipped above", "share of tokens", share=True),
    Panel("ratio/max", "Largest ratio", "new over old probability"),
    Panel("reward/std", "Reward deviation", "within the batch"),
)


def figures(run: Run, summary: Record, models: dict[str, int], sources: dict[str, int]) -> list[Record]:
    """All figures of the report, in the order of the page."""
    rl = {name: run.metrics[node] for name, node in run.rl_names().items()}
    found = _rl_panels(rl, models, PANELS, "rl") + _rl_panels(rl, models, MACHINERY, "machinery")
    found += [_pass_at(summary, models, set_) for set_ in zero_shot_sets(summary)]
    found += _training(run, models) + _by_source(run, sources)
    return [figure for figure in found if figure["data"]]


def binned(x: Values, y: Values, most: int = MOST_POINTS) -> tuple[Values, Values]:
    """At most `most` points, each the mean of a bin of neighbours."""
    if len(x) <= most:
        return x, y
    edges = [round(i * len(x) / most) for i in range(most + 1)]
    spans = list(pairwise(edges))
    return [mean(x[a:b]) for a, b in spans], [mean(y[a:b]) for a, b in spans]


def _trace(x: Values, y: Values, name: str, tone: tuple[str, int], **more: Any) -> Record:
    x, y = binned(x, y)
    plain = {"type": "scatter", "mode": "lines", "x": [_short(v) for v in x], "y": [_short(v) for v in y], "name": name}
    return plain | {"meta": {"tone": list(tone)}, "line": {"width": 2}} | more


def _short(value: float | None) -> float | None:
    """Five significant digits: more than a screen shows, and half the file."""
    return None if value is None else float(f"{value:.5g}")


def _figure(id_: str, group: str, title: str, note: str, data: list[Record], **axes: Record) -> Record:
    layout = {"xaxis": axes.get("xaxis", {}), "yaxis": {"rangemode": "tozero"} | axes.get("yaxis", {})}
    return {"id": id_, "group": group, "title": title, "note": note, "data": data, "layout": layout}


def _rl_panels(
    rl: dict[str, list[Record]], models: dict[str, int], panels: tuple[Panel, ...], group: str
) -> list[Record]:
    tops: dict[str, float] = {}
    for panel in panels:
        values = [v for metrics in rl.values() for v in series(metrics, panel.metric) if v is not None]
        tops[panel.shared] = max(tops.get(panel.shared, 0.0), max(values, default=0.0))
    found = []
    for panel in panels:
        yaxis: Record = {"ticksuffix": "\u202f%"} if panel.share else {}
        if panel.shared:
            yaxis["range"] = [0, 1.06 * tops[panel.shared] or 1]
        data = [t for name, metrics in rl.items() for t in _rl_traces(name, metrics, models[name], panel)]
        id_ = f"rl-{panel.metric.replace('/', '-')}"
        found.append(
            _figure(id_, group, panel.title, panel.note, data, xaxis={"title": {"text": "rollout step"}}, yaxis=yaxis)
        )
    return found


def _rl_traces(name: str, metrics: list[Record], colour: int, panel: Panel) -> list[Record]:
    scale = 100.0 if panel.share else 1.0
    steps = series(metrics, "step")
    raw = [None if v is None else scale * v for v in series(metrics, panel.metric)]
    if all(v is None for v in raw):
        return []
    tone = ("model", colour)
    quiet = {"showlegend": False, "hoverinfo": "skip"}
    line = _trace(steps, smoothed(raw), name, tone)
    if len([v for v in raw if v is not None]) < 3:
        line |= {"mode": "lines+markers"}
    traces = [_trace(steps, raw, name, tone, line={"width": 1}, opacity=0.3, **quiet), line]
    if panel.metric == "length/all":
        cap = series(metrics, "max_tokens")
        traces += [_trace(steps, cap, name, tone, line={"width": 1, "dash": "dot"}, opacity=0.6, **quiet)]
    return traces


def _pass_at(summary: Record, models: dict[str, int], set_: str) -> Record:
    data = []
    for name, model in summary["models"].items():
        for when, dash, symbol in (("before", "dot", "circle-open"), ("after", "solid", "circle")):
            curve = ((model[when] or {}).get(set_) or {}).get("pass_at") or {}
            at = sorted((int(k), number(v)) for k, v in curve.items())
            if len(at) < 2:
                continue
            y = [None if v is None else 100 * v for _, v in at]
            label = f"{name}, {when} RL" if model["rl"] else name
            style = {
                "mode": "lines+markers",
                "line": {"width": 2, "dash": dash},
                "marker": {"symbol": symbol, "size": 8},
            }
            data.append(_trace([k for k, _ in at], y, label, ("model", models[name]), **style))
            data[-1]["meta"]["model"] = name
    ks = sorted({x for trace in data for x in trace["x"]})
    xaxis = {"type": "log", "tickvals": ks, "ticktext": [f"{k:g}" for k in ks], "title": {"text": "k"}}
    yaxis = {"ticksuffix": "\u202f%"}
    return _figure(
        f"pass-{set_}", "pass", f"pass@k on {set_}", "dotted: before RL, solid: after", data, xaxis=xaxis, yaxis=yaxis
    )


def _training(run: Run, models: dict[str, int]) -> list[Record]:
    """Loss of every training stage over the tokens since its base model, so that branches leave their parent."""
    data = []
    for stage in run.of_kind("train"):
        metrics = run.metrics[stage.node]
        base = _tokens_before(run, stage.node)
        x = [None if t is None else base + t for t in series(metrics, "tokens")]
        data.append(_trace(x, series(metrics, "loss"), stage.node, ("model", models[stage.node])))
    axes: dict[str, Record] = {
        "xaxis": {"title": {"text": "tokens since the base model"}},
        "yaxis": {"rangemode": "normal"},
    }
    return [_figure("train-loss", "train", "Training loss", "nats a token", data, **axes)]


def _tokens_before(run: Run, node: str) -> float:
    """Tokens that the training ancestors of `node` saw."""
    parent = run.model_parent(run.stages[node])
    if parent is None or run.stages[parent].kind != "train":
        return 0.0
    last = run.metrics[parent][-1:] or [{}]
    return _tokens_before(run, parent) + (number(last[0].get("tokens")) or 0.0)


def _by_source(run: Run, sources: dict[str, int]) -> list[Record]:
    found = []
    for stage in run.of_kind("train"):
        metrics = run.metrics[stage.node]
        tokens = series(metrics, "tokens")
        names = [name for name in sources if any(f"loss/{name}" in row for row in metrics)]
        data = [
            _trace(tokens, series(metrics, f"loss/{s}"), s, ("source", sources[s]), line={"width": 1.5}) for s in names
        ]
        axes: dict[str, Record] = {"xaxis": {"title": {"text": "tokens"}}, "yaxis": {"rangemode": "normal"}}
        found.append(
            _figure(f"source-{stage.node}", "source", stage.node, "loss by source, nats a token", data, **axes)
        )
    return found
