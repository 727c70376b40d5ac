"""Writing the report of a run: summary.json and report.html at the root of its directory."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from octolab.report.collect import summarise
from octolab.report.html import page
from octolab.report.read import read_run
from octolab.report.rollouts import chosen, first_and_last
from octolab.report.schema import validate
from octolab.store.atomic import write_text


def write_report(run: Path, nodes: Collection[str] | None = None) -> Path:
    """Write `summary.json` and `report.html` into the run directory `run` and return the page's path.

    `nodes`: those of the recipe; stages of an older one are then left out. The summary is validated against its
    schema first, and each file appears whole or not at all.

    Raises:
        UserError: nothing finished is there, a file of a finished stage is absent or torn, or the disk is full.
    """
    read = read_run(run, nodes)
    steps = first_and_last(read)
    summary = summarise(read, steps)
    validate(summary)
    html = page(read, summary, chosen(read, steps))
    write_text(Path(run) / "summary.json", json.dumps(summary, indent=2, ensure_ascii=True, allow_nan=False) + "\n")
    write_text(Path(run) / "report.html", html)
    return Path(run) / "report.html"
