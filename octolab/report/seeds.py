"""Several seeds of one recipe side by side: the claims over all of them, and what each model solved in each.

In go the run directories, one a seed; out come `seeds.json`, for programs, and `seeds.md`, for people. A claim's
interval over problems averages the seeds first; beside it stands Student's interval over the seeds, and a claim
holds only if both say so (see `stated`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octolab.errors import UserError
from octolab.report.answer import zero_shot_sets
from octolab.report.collect import own_claims, summarise
from octolab.report.read import Run, read_run
from octolab.report.rollouts import first_and_last
from octolab.report.stated import stated_claims
from octolab.report.text import DASH, percent, points
from octolab.store.atomic import write_text

Record = dict[str, Any]


def over_seeds(folders: Sequence[Path]) -> Record:
    """Claims over all seeds and each seed's accuracies: {"name", "seeds", "claims", "models"}.

    Raises:
        UserError: no run is given, or they are not runs of one recipe with different seeds.
    """
    if not folders:
        raise UserError("no run directory is given; name one for every seed")
    runs = [read_run(folder) for folder in folders]
    _check(runs, folders)
    summaries = [summarise(run, first_and_last(run)) for run in runs]
    return {
        "name": runs[0].name,
        "seeds": [run.seed for run in runs],
        "claims": stated_claims(own_claims(runs[0]), [run.samples for run in runs], runs[0].seed),
        "models": _models(summaries),
    }


def write_seeds(out: Path, folders: Sequence[Path]) -> Record:
    """Write `seeds.json` and `seeds.md` into `out`; returns what they say.

    Raises:
        UserError: as `over_seeds`.
    """
    value = over_seeds(folders)
    write_text(out / "seeds.json", json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n")
    write_text(out / "seeds.md", seeds_text(value))
    return value


def _check(runs: Sequence[Run], folders: Sequence[Path]) -> None:
    seeds = [run.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"the runs {', '.join(map(str, folders))} have seeds {seeds}; give each seed once")
    first = runs[0].recipe | {"seed": None}
    for run, folder in zip(runs, folders, strict=True):
        if run.recipe | {"seed": None} != first:
            raise UserError(f"{folder} ran another recipe than {folders[0]}; compare runs that differ in seed alone")


def _models(summaries: Sequence[Record]) -> Record:
    """Model -> set -> {"before": [accuracy of each seed], "after": [...]}, null where it was not measured."""
    names = dict.fromkeys(name for summary in summaries for name in summary["models"])
    sets = dict.fromkeys(set_ for summary in summaries for set_ in zero_shot_sets(summary))
    found: Record = {}
    for name in names:
        for set_ in sets:
            told = {
                when: [((s["models"].get(name, {}).get(when) or {}).get(set_) or {}).get("acc") for s in summaries]
                for when in ("before", "after")
            }
            if any(value is not None for values in told.values() for value in values):
                found.setdefault(name, {})[set_] = told
    return found


def seeds_text(value: Record) -> str:
    """Both tables as Markdown."""
    seeds = ", ".join(map(str, value["seeds"]))
    lines = [f"`{value['name']}`, seeds {seeds}. Effects in accuracy points, in tokens for lengths; 95% intervals.", ""]
    lines += [
        "| claim | bound | effect | over problems | over seeds | each seed | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in value["claims"]:
        lines.append(f"| **{claim['id']}** | {claim['statement']} | | | | | **{claim['verdict']}** |")
        lines += [_bound(part) for part in claim["parts"]]
    sets = dict.fromkeys(set_ for told in value["models"].values() for set_ in told)
    for set_ in sets:
        lines += ["", f"Accuracy on `{set_}` in percent, mean over seeds (each seed).", ""]
        lines += ["| model | before RL | after RL |", "|---|---|---|"]
        for name, told in value["models"].items():
            if set_ in told:
                lines.append(f"| `{name}` | {_shares(told[set_]['before'])} | {_shares(told[set_]['after'])} |")
    return "\n".join(lines) + "\n"


def _bound(part: Record) -> str:
    ((limit, value),) = part["limit"].items()
    total = " ".join(f"{factor:+g} {node}" for node, factor in part["sum"].items())
    what = "" if part["measure"] == "accuracy" else f"{part['measure']} of "
    where = ", ".join(part["sets"]) + (f" ({part['family']})" if part["family"] else "")
    bound = f"{what}`{total}` on {where} {limit.replace('_', ' ')} {value:g}"
    each = ", ".join(points(one) for one in part["by_seed"]) or DASH
    intervals = [_interval(part["ci95"]), _interval(part["ci95_seeds"])]
    return f"| | {bound} | {points(part['effect'])} | {intervals[0]} | {intervals[1]} | {each} | {part['verdict']} |"


def _interval(low_high: Sequence[float] | None) -> str:
    return DASH if low_high is None else f"{points(low_high[0])} to {points(low_high[1])}"


def _shares(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return DASH
    each = ", ".join(percent(value, unit=False) for value in values)
    return f"{percent(statistics.fmean(known), unit=False)} ({each})"
