"""The page: one self-contained file that asks nothing of any network.

In go a `Run`, its summary and the rollouts to show; out comes HTML with styles, scripts, Plotly and data inside.
A content security policy forbids every request and every script but our own (by hash), so that even a hole
in the escaping would stay shut.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from octolab.report import sections, tables, theme
from octolab.report.plots import figures
from octolab.report.read import Run
from octolab.report.road import road
from octolab.report.rollouts import RULE
from octolab.report.text import DASH, duration, esc, json_block, packed_block, prose

ASSETS = Path(__file__).with_name("assets")
SCRIPTS = ("tables.js", "plots.js", "rollouts.js")
Record = dict[str, Any]


def page(run: Run, summary: Record, rollouts: list[Record]) -> str:
    """The whole report as HTML."""
    models, sources = palettes(run, summary)
    drawn = figures(run, summary, models, sources)
    parts = _parts(run, summary, rollouts, drawn, models, sources)
    shown = [(id_, title, lede, body) for id_, title, lede, body in parts if body]
    links = "".join(f'<a href="#{id_}">{title}</a>' for id_, title, _, _ in shown)
    body = "".join(_section(*part) for part in shown)
    figures_data = {f["id"]: {k: f[k] for k in ("title", "data", "layout")} for f in drawn}
    blocks = (
        json_block("figures", figures_data)
        + json_block("theme", theme.for_plots())
        + packed_block("rollouts-data", rollouts)
        + json_block("palette", models)
    )
    scripts = _scripts(bool(drawn))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{esc(run.name)}: OctoLab report</title><style>{theme.css()}{_asset('report.css')}</style></head><body>"
        f'<nav><a class="brand" href="#top">{esc(run.name)}</a>{links}</nav>'
        f'<main id="top">{_opening(summary, models)}{body}</main>'
        f"<footer>{_footer(summary)}</footer>{blocks}"
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def palettes(run: Run, summary: Record) -> tuple[dict[str, int], dict[str, int]]:
    """Colour index of every model (by name and by node) and of every source."""
    count = max(len(summary["rl"]), 1 if summary["rl"] else len(summary["models"]))
    models: dict[str, int] = {}
    for name in [*summary["models"], *(stage.node for stage in run.of_kind("train"))]:
        if name not in models:
            colour = theme.model_colour(len(set(models.values())), count)
            models[name] = colour
            node = summary["models"].get(name, {}).get("node")
            if node:
                models.setdefault(node, colour)
    names = [str(stage.summary.get("source") or stage.node) for stage in run.of_kind("shards")]
    names += [s for stage in run.of_kind("train") for s in stage.summary.get("tokens_by_source") or {}]
    names += [s for model in summary["models"].values() for s in model["before_bits_per_byte"]]
    return models, {name: i % len(theme.SOURCES["light"]) for i, name in enumerate(dict.fromkeys(names))}


def _parts(
    run: Run,
    summary: Record,
    rollouts: list[Record],
    drawn: list[Record],
    models: dict[str, int],
    sources: dict[str, int],
) -> list[tuple[str, str, str, str]]:
    """(anchor, title, how to read it, body); a part without a body is left out of the page."""
    quiet = _second_runs(summary)
    rl_legend = sections.legend(list(summary["rl"]), models, quiet=quiet)
    dynamics = sections.plots(drawn, "rl")
    machinery = sections.plots(drawn, "machinery")
    if machinery:
        machinery = _more("The machinery: gradients, clipping, engine against trainer", machinery)
    by_part = tables.parts_table(summary, models, "by_family", "by family") + tables.parts_table(
        summary, models, "by_level", "by level"
    )
    if by_part:
        by_part = f'<details class="more" open><summary>By family and by level</summary>{by_part}</details>'
    few = tables.scores_tables(summary, models, few_shot=True)
    passes = sections.plots(drawn, "pass", tall=True)
    passes = passes and sections.legend(list(summary["models"]), models, quiet=quiet) + passes
    by_source = sections.plots(drawn, "source")
    if by_source:
        by_source = sections.legend(list(sources), sources, "s") + by_source
    return [
        ("road", "The road", "What went into each stage, and what came out.", road(run, summary, models, sources)),
        (
            "claims",
            "Claims",
            "Computed from the sample logs, with intervals by paired bootstrap over problems. A claim holds if the "
            "whole interval keeps its bound (above zero, where none is named), does not hold if the whole interval "
            "breaks it, and cannot be told otherwise, or where its runs are absent.",
            tables.claims_table(summary),
        ),
        (
            "evaluation",
            "Evaluation",
            "Zero-shot with the RL template. Intervals are 95\u202f%; gains are paired by problem.",
            tables.scores_tables(summary, models, few_shot=False) + by_part,
        ),
        (
            "pass",
            "pass@k",
            "Unbiased estimate. Where the curves meet, RL only sharpened what was there.",
            passes,
        ),
        (
            "few-shot",
            "Few-shot",
            "With worked examples in the prompt; never compared with the zero-shot tables above.",
            few,
        ),
        (
            "dynamics",
            "RL, step by step",
            "Faint lines are raw values, strong ones a moving average. Length is shown by outcome, because the length "
            "of correct answers alone hides a collapse.",
            (rl_legend + tables.signs_table(summary, models) + dynamics + machinery) if dynamics else "",
        ),
        (
            "training",
            "Mid-training",
            "Loss over the tokens seen since the base model: each branch leaves where its parent ended.",
            _training(drawn, by_source),
        ),
        (
            "forgetting",
            "Forgetting",
            "How well each model still predicts text that it was trained on.",
            tables.bits_table(summary, models, sources),
        ),
        (
            "corpus",
            "Corpus",
            "What each step of curation kept. Open a reason to read pages it dropped.",
            sections.corpus(run),
        ),
        (
            "rollouts",
            "Rollouts to read",
            "Right beside wrong, and before RL beside after it.",
            _reader() if rollouts else "",
        ),
        ("provenance", "Provenance", "Enough to do it again.", _provenance(run, summary)),
    ]


def _second_runs(summary: Record) -> list[str]:
    """Further RL runs on a parent that is shown already: at other rates, say; one switches their curves on."""
    return [name for name, told in summary["rl"].items() if name != told["parent"] and told["parent"] in summary["rl"]]


def _section(id_: str, title: str, lede: str, body: str) -> str:
    return f'<section id="{id_}"><h2>{title}</h2><p class="lede">{lede}</p>{body}</section>'


def _opening(summary: Record, models: dict[str, int]) -> str:
    first, *rest = summary["answer"]
    times = summary["times"]
    when = str(times["finished_at"] or DASH)[:10]
    facts = [
        f"seed {summary['seed']}",
        f"{len(summary['provenance']['stages'])} stages",
        duration(times["seconds"]),
        when,
    ]
    small = "".join(f"<p>{prose(sentence)}</p>" for sentence in rest)
    return (
        f'<header><p class="eyebrow">OctoLab report · <b>{esc(summary["name"])}</b> · {esc(" · ".join(facts))}</p>'
        f'<h1>{aside(prose(first))}</h1><div class="rest">{small}</div>{sections.gains_panel(summary, models)}</header>'
    )


def aside(sentence: str) -> str:
    """Set what stands in parentheses smaller: the headline is read first, its precision second."""
    return re.sub(r"\([^()]*\)", lambda match: f'<span class="aside">{match[0]}</span>', sentence)


def _training(drawn: list[Record], by_source: str) -> str:
    together = sections.plots(drawn, "train", tall=True)
    names = [t["name"] for figure in drawn if figure["group"] == "train" for t in figure["data"]]
    tones = {t["name"]: t["meta"]["tone"][1] for figure in drawn if figure["group"] == "train" for t in figure["data"]}
    return f"{sections.legend(names, tones)}{together}{by_source}" if together else ""


def _more(title: str, body: str) -> str:
    return f'<details class="more"><summary>{title}</summary>{body}</details>'


def _reader() -> str:
    picks = "".join(
        f'<label>{title}<select id="pick-{id_}"></select></label>'
        for id_, title in (("model", "Model"), ("when", "When"), ("heap", "Which"), ("verdict", "Verdict"))
    )
    return (
        f'<details class="more rule"><summary>How these were chosen</summary><p class="lede">{esc(RULE)}</p></details>'
        f'<form class="picks" id="picks">{picks}<output id="picked"></output></form><div id="rollout-list"></div>'
        '<button type="button" class="more-rollouts" id="more-rollouts">Show more</button>'
        "<noscript><p>The rollouts and plots need JavaScript; nothing is loaded from anywhere.</p></noscript>"
    )


def _provenance(run: Run, summary: Record) -> str:
    told = summary["provenance"]
    names = ("octolab", "torch", "python", "machine", "threads", "compile")
    facts = "".join(f"<div><dt>{name}</dt><dd>{esc(told.get(name, DASH))}</dd></div>" for name in names)
    facts += f"<div><dt>seed</dt><dd>{summary['seed']}</dd></div>"
    commands = f"octolab run {run.path / 'recipe.yaml'}\noctolab report {run.path}"
    recipe = run.recipe_text and _more("The recipe, as resolved", f'<pre class="code">{esc(run.recipe_text)}</pre>')
    stages = tables.stages_table(summary)
    return f'<dl class="facts">{facts}</dl><pre class="code">{esc(commands)}</pre>{stages}{recipe}'


def _footer(summary: Record) -> str:
    version = esc(summary["provenance"]["octolab"])
    beside = "the same numbers stand in <code>summary.json</code> beside this file"
    return f"Written by OctoLab {version} from the logs of the run; {beside}."


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _scripts(drawn: bool) -> list[str]:
    """Sources of the page's scripts; Plotly only where something is drawn."""
    own = [_asset(name) for name in SCRIPTS]
    if not drawn:
        return own
    from plotly.offline import get_plotlyjs  # slow to import

    return [get_plotlyjs(), *own]


def _policy(scripts: list[str]) -> str:
    """Nothing may be fetched, and only these scripts may run; Plotly sets styles and makes images of itself."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
