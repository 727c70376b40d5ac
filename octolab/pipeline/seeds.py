"""One recipe over several seeds: a run directory for each, then what they say together.

The seeds are paired: every model of a seed starts from that seed's base, and all seeds meet the same problems. A
killed command goes on where it was, since each run does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from octolab.errors import UserError
from octolab.pipeline.run import run_recipe
from octolab.recipe.schema import Recipe
from octolab.report.seeds import Record, write_seeds


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers.

    Raises:
        UserError: it is not a list of different whole numbers.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--seeds {text!r} is not a list of whole numbers; write for example --seeds 0,1,2") from error
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text} names a seed twice; give each once")
    return seeds


def run_seeds(recipe: Recipe, seeds: Sequence[int], out: Path, console: Console) -> Record:
    """Run `recipe` with every seed in `out`/seed-<seed>, then write `out`/seeds.json and seeds.md.

    Raises:
        UserError: as `run_recipe`.
    """
    folders = []
    for seed in seeds:
        folder = out / f"seed-{seed}"
        console.print(f"[bold]seed {seed}[/bold] in {folder}", highlight=False)
        run_recipe(recipe.model_copy(update={"seed": seed}), folder, console=console)
        folders.append(folder)
    return write_seeds(out, folders)
