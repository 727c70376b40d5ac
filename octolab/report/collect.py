"""A run directory in numbers: the summary that summary.json holds.

In goes a run directory (or a `Run` already read), out comes a dict that satisfies summary_schema.json: scores
before and after RL per model, RL and training figures, corpus counts, claims, provenance, and apart from all
these, under `times`, everything that is a time, a date or a speed.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from octolab.recipe.claims import StatedClaim
from octolab.report.answer import answer
from octolab.report.claims import claims_of
from octolab.report.health import EDGE, Record, ends, mean, series, signs
from octolab.report.read import Run, Stage, read_run
from octolab.report.rollouts import first_and_last
from octolab.report.schema import SCHEMA_VERSION
from octolab.report.stated import stated_claims
from octolab.report.text import number
from octolab.store.logs import finite

CORPUS_KINDS = ("curate", "tokenizer", "shards")
ENVIRONMENT = ("octolab", "torch", "python", "machine", "threads", "compile")
DATES = ("started_at", "finished_at")
SCORES = ("acc", "ci95", "n", "samples", "length", "length_correct", "truncation", "no_answer", "timeouts", "pass_at")


def collect(run: Path) -> Record:
    """Summary of the run directory `run`.

    Raises:
        UserError: nothing finished is there, or a file of a finished stage is absent or torn.
    """
    read = read_run(run)
    return summarise(read, first_and_last(read))


def summarise(run: Run, edges: dict[str, list[list[Record]]]) -> Record:
    """Summary of a run already read; `edges` are the rollouts of each RL model's first and last step."""
    summary: Record = {
        "schema_version": SCHEMA_VERSION,
        "name": run.name,
        "seed": run.seed,
        "answer": [],
        "problems": _problems(run),
        "models": _models(run),
        "rl": {name: _rl(run, run.stages[node], edges[name]) for name, node in run.rl_names().items()},
        "train": {stage.node: _train(run, stage) for stage in run.of_kind("train")},
        "corpus": {stage.node: _corpus(stage) for stage in run.of_kind(*CORPUS_KINDS)},
        "claims": stated_claims(own_claims(run), [run.samples], run.seed) + claims_of(_paired_samples(run), run.seed),
        "provenance": _provenance(run),
        "times": _times(run),
    }
    summary = finite(summary)
    summary["answer"] = answer(summary)
    return summary


def own_claims(run: Run) -> dict[str, StatedClaim]:
    """The claims that the recipe's report stages state, by name."""
    stages = (run.recipe.get("stages") or {}).values()
    stated = [
        stage.get("claims") or {} for stage in stages if isinstance(stage, dict) and stage.get("kind") == "report"
    ]
    return {name: StatedClaim.model_validate(claim) for claims in stated for name, claim in claims.items()}


def is_time(name: str) -> bool:
    """Whether a metric or field of this name is a time, a date or a speed."""
    return name.startswith(("seconds", "mfu")) or name.endswith("_seconds") or "_per_s" in name or name in DATES


def without_times(value: Any) -> Any:
    """`value` without any field, at any depth, that is a time or a speed."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not is_time(str(k))}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def _paired_samples(run: Run) -> dict[str, tuple[list[Record], list[Record]]]:
    pairs = {}
    for name, node in run.rl_names().items():
        parent = run.model_parent(run.stages[node])
        pairs[name] = (run.samples.get(parent or "", []), run.samples.get(node, []))
    return pairs


def _models(run: Run) -> dict[str, Record]:
    """RL parents, baseline first, then other evaluated models in flow order."""
    rl = run.rl_names()
    models = {name: _model(run, run.model_parent(run.stages[node]), node) for name, node in rl.items()}
    told = {model["node"] for model in models.values()} | set(rl.values())
    rest = [node for node in [*run.stages, *sorted(run.scores)] if node in run.scores and node not in told]
    return models | {node: _model(run, node, None) for node in dict.fromkeys(rest)}


def _model(run: Run, node: str | None, rl: str | None) -> Record:
    before, after = run.scores.get(node or "", {}), run.scores.get(rl or "")
    return {
        "node": node,
        "rl": rl,
        "before": _scores(before.get("sets"), run.samples.get(node or "", [])),
        "after": None if after is None else _scores(after.get("sets"), run.samples.get(rl or "", [])),
        "before_bits_per_byte": before.get("bits_per_byte") or {},
        "after_bits_per_byte": None if after is None else after.get("bits_per_byte") or {},
    }


def _scores(sets: Record | None, samples: list[Record]) -> Record:
    """Scores by set; `right` has the right samples of each problem, in the order of the summary's `problems`."""
    told = {}
    for name, score in (sets or {}).items():
        right: dict[str, int] = {}
        for record in samples:
            if record["set"] == name:
                right[str(record["problem_id"])] = right.get(str(record["problem_id"]), 0) + bool(record["correct"])
        told[name] = {key: score.get(key) for key in SCORES} | {"pass_at": score.get("pass_at") or {}}
        told[name]["right"] = " ".join(str(right[problem]) for problem in sorted(right))
        told[name] |= {part: score[part] for part in ("by_family", "by_level") if score.get(part)}
    return told


def _problems(run: Run) -> dict[str, list[str]]:
    """Set -> ids of its problems, sorted."""
    ids: dict[str, set[str]] = {}
    for records in run.samples.values():
        for record in records:
            ids.setdefault(record["set"], set()).add(str(record["problem_id"]))
    return {name: sorted(found) for name, found in ids.items()}


def _rl(run: Run, stage: Stage, edges: list[list[Record]]) -> Record:
    metrics = run.metrics[stage.node]
    names = dict.fromkeys(key for row in metrics for key, value in row.items() if number(value) is not None)
    last = {name: ends(metrics, name)[1] for name in names if name != "step" and not is_time(name)}
    facts = {"node": stage.node, "parent": run.model_parent(stage), "steps": len(metrics)}
    told = {"last": last, "signs": signs(metrics, edges[-1] if edges else [])}
    return without_times(stage.summary) | facts | told


def _train(run: Run, stage: Stage) -> Record:
    metrics = run.metrics[stage.node]
    final = metrics[-1] if metrics else {}
    read = {"steps": len(metrics), "tokens": final.get("tokens"), "loss": mean(series(metrics, "loss")[-2 * EDGE :])}
    return read | without_times(stage.summary) | {"parent": run.model_parent(stage)}


def _corpus(stage: Stage) -> Record:
    """Counts without the examples, which are for the page."""
    told = without_times(stage.summary)
    if "steps" in told:
        told["steps"] = [{k: v for k, v in step.items() if k != "examples"} for step in told["steps"]]
    return told | {"kind": stage.kind}


def _provenance(run: Run) -> Record:
    """Versions (all that occur, where stages differ) and keys."""
    seen: dict[str, dict[str, None]] = {name: {} for name in ENVIRONMENT}
    for stage in run.stages.values():
        environment = stage.manifest.get("environment") or {}
        for name in ENVIRONMENT:
            if environment.get(name) is not None:
                seen[name][str(environment[name])] = None
    told: Record = {name: "; ".join(sorted(values)) or "unknown" for name, values in seen.items()}
    fields = ("kind", "key", "base_key", "stage_version")
    told["stages"] = {node: {f: stage.manifest.get(f) for f in fields} for node, stage in run.stages.items()}
    return told


def _times(run: Run) -> Record:
    stages = {
        node: {"seconds": number(stage.manifest.get("seconds")), "finished_at": stage.manifest.get("finished_at")}
        for node, stage in run.stages.items()
    }
    spent = [stage["seconds"] for stage in stages.values() if stage["seconds"] is not None]
    ended = [str(stage["finished_at"]) for stage in stages.values() if stage["finished_at"]]
    speeds = {node: _medians(metrics) for node, metrics in run.metrics.items()}
    return {"seconds": sum(spent), "finished_at": max(ended, default=None), "stages": stages, "speeds": speeds}


def _medians(metrics: list[Record]) -> dict[str, float]:
    """Median over steps of every metric that is a time or a speed."""
    names = dict.fromkeys(key for row in metrics for key in row if is_time(key))
    columns = {name: [v for v in series(metrics, name) if v is not None] for name in names}
    return {name: statistics.median(values) for name, values in columns.items() if values}
