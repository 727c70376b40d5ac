"""`octolab`: every command as one thin function over the Python API, and the way errors are shown.

A `UserError` becomes its sentence on stderr and exit code 2; Ctrl-C says how to go on and exits with 130.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

import octolab
from octolab.errors import UserError, hint

app = typer.Typer(
    name="octolab",
    help="From raw pages to a base model that reinforcement learning can scale, and a report that shows it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeName = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a field: stages.rl.steps=20 (repeatable).")]
Miniature = Annotated[bool, typer.Option("--miniature", help="Same shape, tiny model and stand-in data.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run directory; default runs/<name>.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunFolder = Annotated[Path, typer.Argument(help="A run directory.")]
Redo = Annotated[list[str] | None, typer.Option("--redo", help="Make a stage anew (repeatable).")]


def _console() -> Console:
    return Console(stderr=True)


def _recipe(recipe: str, sets: list[str] | None, miniature: bool) -> Any:
    from octolab.recipe.load import load_recipe
    from octolab.recipe.miniature import miniature_of

    loaded = load_recipe(recipe, sets or [])
    return miniature_of(loaded) if miniature else loaded


def _print(value: Any, as_json: bool, text: str) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text)


def _finish(recipe: Any, out: Path | None, only: str | None, redo: list[str] | None, as_json: bool) -> None:
    """Run, then say where things are."""
    from octolab.pipeline.run import run_recipe

    folder = out or Path("runs") / recipe.name
    try:
        outcome = run_recipe(recipe, folder, only=only, redo=redo or [], console=_console())
    except KeyboardInterrupt:
        _stopped()
    report = folder / "report.html"
    value = {
        "run": str(folder),
        "report": str(report) if report.exists() else None,
        "nodes": {name: {"how": how, "seconds": seconds} for name, (how, seconds) in outcome.nodes.items()},
    }
    made = sum(how != "reused" for how, _ in outcome.nodes.values())
    seconds = sum(seconds for _, seconds in outcome.nodes.values())
    lines = [f"{folder}: {len(outcome.nodes)} stages, {made} run now in {seconds:.0f} s"]
    if report.exists():
        lines.append(f"report: {report.resolve()}")
    _print(value, as_json, "\n".join(lines))


@app.command()
def run(
    recipe: RecipeName,
    out: Out = None,
    only: Annotated[str | None, typer.Option("--only", help="This stage and what it needs.")] = None,
    set_: Sets = None,
    miniature: Miniature = False,
    redo: Redo = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Once with each seed: 0,1,2; then compare.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe; what is finished is reused, what was cut off goes on."""
    loaded = _recipe(recipe, set_, miniature)
    if seeds is None:
        _finish(loaded, out, only, redo, as_json)
        return
    if only or redo:
        raise UserError("--seeds goes with neither --only nor --redo; name one seed's directory with --out for those")
    _seeds(loaded, seeds, out, as_json)


def _seeds(recipe: Any, text: str, out: Path | None, as_json: bool) -> None:
    from octolab.pipeline.seeds import parse_seeds, run_seeds
    from octolab.report.seeds import seeds_text

    folder = out or Path("runs") / f"{recipe.name}-seeds"
    try:
        value = run_seeds(recipe, parse_seeds(text), folder, _console())
    except KeyboardInterrupt:
        _stopped()
    _print(value, as_json, f"{seeds_text(value)}\nwritten to {folder / 'seeds.md'}")


def _stopped() -> NoReturn:
    print("octolab: stopped; run the same command again, without any --redo, to go on", file=sys.stderr)
    raise typer.Exit(130) from None


@app.command()
def plan(
    recipe: RecipeName, out: Out = None, set_: Sets = None, miniature: Miniature = False, as_json: AsJson = False
) -> None:
    """Show the resolved graph with tokens, steps, FLOPs and disk; does no work."""
    from octolab.pipeline.plan import plan_of, plan_text

    value = plan_of(_recipe(recipe, set_, miniature), out)
    _print(value, as_json, plan_text(value))


@app.command()
def status(folder: RunFolder, as_json: AsJson = False) -> None:
    """Show which stages of a run are finished."""
    from octolab.pipeline.status import status_of, status_text

    value = status_of(folder)
    _print(value, as_json, status_text(value))


@app.command()
def report(folder: RunFolder, as_json: AsJson = False) -> None:
    """Write report.html and summary.json of a run anew."""
    from octolab.pipeline.status import report_of

    page = report_of(folder)
    _print({"report": str(page), "summary": str(page.with_name("summary.json"))}, as_json, f"report: {page.resolve()}")


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="A run directory.")],
    second: Annotated[Path, typer.Argument(help="Another run directory.")],
    as_json: AsJson = False,
) -> None:
    """Compare two runs: settings that differ and the results."""
    from octolab.pipeline.status import diff_of, diff_text

    value = diff_of(first, second)
    _print(value, as_json, diff_text(value))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine: versions, compiler, threads, GPU, disk, speed."""
    from octolab.cli.doctor import examine

    value = examine()
    _print(value, as_json, "\n".join(f"{name:12} {text}" for name, text in value.items()))


@app.command()
def sample(
    checkpoint: Annotated[Path, typer.Argument(help="A Hugging Face folder, or a stage folder of a run.")],
    prompt: Annotated[str, typer.Argument(help="The prompt, as it is; with --template a question.")],
    n: Annotated[int, typer.Option("-n", help="Completions.", min=1)] = 1,
    max_tokens: Annotated[int, typer.Option(help="Cap on completion tokens.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0)] = 1.0,
    template: Annotated[str | None, typer.Option(help="Put the prompt into this template.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write on from a prompt with a checkpoint."""
    from octolab.cli.sample import complete

    value = complete(checkpoint, prompt, n, max_tokens, temperature, template, seed)
    _print(value, as_json, "\n---\n".join(one["text"] for one in value))


@app.command()
def gc(
    folder: RunFolder,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what nothing in the run's recipe refers to."""
    from octolab.pipeline.status import collect_garbage

    value = collect_garbage(folder, dry_run)
    word = "would free" if dry_run else "freed"
    size = sum(entry["bytes"] for entry in value)
    lines = [f"{entry['path']}  {entry['bytes'] / 1e6:,.1f} MB" for entry in value]
    _print(value, as_json, "\n".join([*lines, f"{word} {size / 1e6:,.1f} MB"]))


@app.command()
def train(
    checkpoint: Annotated[str, typer.Argument(help="Where to start: a folder or hub id.")],
    source: Annotated[list[str], typer.Option("--source", help="NAME=FILE:SHARE of the mixture (repeatable).")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.", min=1)],
    lr: Annotated[float, typer.Option(help="Learning rate.")],
    sequences_per_step: Annotated[int, typer.Option(help="Rows in a step.", min=1)] = 8,
    sequence_length: Annotated[int, typer.Option(help="Tokens in a row.", min=2)] = 1024,
    set_: Sets = None,
    out: Out = None,
    redo: Redo = None,
    as_json: AsJson = False,
) -> None:
    """Train one checkpoint on a mixture of files (a one-node recipe)."""
    from octolab.cli.verbs import train_recipe

    recipe = train_recipe(checkpoint, source, steps, lr, sequences_per_step, sequence_length, set_ or [])
    _finish(recipe, out, None, redo, as_json)


@app.command()
def rl(
    checkpoint: Annotated[str, typer.Argument(help="Where to start: a folder or hub id.")],
    prompts: Annotated[str, typer.Option(help="A file of problems, or the name of a known set.")],
    steps: Annotated[int, typer.Option(help="Rollout steps.", min=1)],
    set_: Sets = None,
    out: Out = None,
    redo: Redo = None,
    as_json: AsJson = False,
) -> None:
    """Train one checkpoint by RL (a one-node recipe; --set stages.rl.FIELD=VALUE for the rest)."""
    from octolab.cli.verbs import rl_recipe

    _finish(rl_recipe(checkpoint, prompts, steps, set_ or []), out, None, redo, as_json)


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A folder or hub id.")],
    benchmark: Annotated[list[str], typer.Option("--benchmark", help="A file of problems or a known set.")],
    set_: Sets = None,
    out: Out = None,
    redo: Redo = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate one checkpoint (a one-node recipe; --set stages.eval.FIELD=VALUE for the rest)."""
    from octolab.cli.verbs import evaluate_recipe

    _finish(evaluate_recipe(checkpoint, benchmark, set_ or []), out, None, redo, as_json)


@app.command()
def curate(
    path: Annotated[list[str], typer.Argument(help="Files, folders or globs of documents or pages.")],
    step: Annotated[list[str], typer.Option("--step", help="Corpus step, in order (repeatable).")],
    convert: Annotated[str, typer.Option(help="How a row becomes a document.")] = "web",
    against: Annotated[list[str] | None, typer.Option("--against", help="Problem sets for decontamination.")] = None,
    set_: Sets = None,
    out: Out = None,
    redo: Redo = None,
    as_json: AsJson = False,
) -> None:
    """Curate files (a one-node recipe)."""
    from octolab.cli.verbs import curate_recipe

    _finish(curate_recipe(path, step, convert, against or [], set_ or []), out, None, redo, as_json)


@app.command()
def verify(
    gold: Annotated[str, typer.Argument(help="The gold answer; or a file of rows (jsonl, json, parquet, .gz, .zst).")],
    completion: Annotated[str | None, typer.Argument(help="What the model wrote; left out for a file.")] = None,
    mode: Annotated[str, typer.Option(help="rl reads the last box only, eval also answer phrases.")] = "rl",
    task: Annotated[str | None, typer.Option(help="Benchmark whose kind of answer is read (--mode eval).")] = None,
    gold_field: Annotated[str | None, typer.Option("--gold", help="Column of the gold.")] = None,
    completion_field: Annotated[str | None, typer.Option("--completion", help="Column of the completion.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write one verdict a row to this jsonl.")] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 2,
    seconds: Annotated[float, typer.Option(help="Deadline of an answer, in seconds.")] = 5.0,
    grader: Annotated[str | None, typer.Option(help="A grader of your own, module:function.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Ask Math-Verify too and list disagreements.")] = False,
    golds: Annotated[bool, typer.Option("--golds", help="Check the golds of a file only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Is this answer right? One answer, or every row of a file."""
    from octolab.cli import verify as work
    from octolab.verify import verify as verify_one
    from octolab.verify.grade import MODES

    if mode not in MODES:
        raise UserError(f"--mode {mode}: the modes are {', '.join(MODES)}{hint(mode, MODES)}")

    if completion is not None:
        value = work.record_of(verify_one(gold, completion, mode=mode, task=task))
        text = f"{value['verdict']}  ({value['gold_type']} gold, {value['method']}, read {value['span']!r})"
    elif golds:
        value = work.audit_golds(gold, gold_field)
        text = work.golds_text(value)
    else:
        pool = {"workers": workers, "seconds": seconds, "grader": grader}
        try:
            value = work.grade_file(gold, (gold_field, completion_field), mode, task, pool, audit, out, _console())
        except KeyboardInterrupt:
            _stopped()
        text = work.summary_text(value)
    _print(value, as_json, text)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"octolab {octolab.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    return None


def main() -> None:
    """Entry point of the `octolab` command. The user's own `module:function` is looked for here, too."""
    sys.path.append(os.getcwd())
    try:
        app()
    except UserError as error:
        print(f"octolab: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
