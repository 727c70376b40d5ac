"""The kinds of nodes that learn and look: train, RL, evaluate, report; and the table of all kinds.

Same contract as in `prepare`: from a node's parents to its folder, summary and outputs.
"""

from __future__ import annotations

from collections.abc import Callable

from octolab.errors import UserError
from octolab.pipeline.graph import Graph, Node
from octolab.pipeline.keys import is_data
from octolab.pipeline.origins import problems_of
from octolab.pipeline.prepare import Result, Run, curate, model, say_bad, shards, tokenizer
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import EvaluateStage, RLStage, TrainStage
from octolab.store.stage import StageIO
from octolab.tasks.few_shot import exemplars_for, few_shot_prompt, few_shot_stops
from octolab.tasks.problems import Problem
from octolab.tasks.rows import BadCounts
from octolab.tasks.templates import template
from octolab.tokens.permutation import key_of
from octolab.tokens.shards import Shards
from octolab.verify import gold_audit


def open_shards(run: Run, node: Node) -> dict[str, Shards]:
    """Shards of a node's parents by source."""
    return {
        role.removeprefix("shards/"): Shards(run.output(parent, "shards"))
        for role, parent in node.parents.items()
        if role.startswith("shards/")
    }


def train(run: Run, node: Node, io: StageIO) -> Result:
    """Next-token training."""
    from octolab.midtrain.checkpoint import latest
    from octolab.midtrain.trainer import train as run_training

    assert isinstance(node.spec, TrainStage)
    parent = run.output(node.parents["from"], "checkpoint")
    # A branch takes its sources in another order than its parent did: rows left unread come as early as the others.
    order = key_of("order", node.seed, _trainings_above(run.graph, node))
    summary = run_training(node.spec, parent, open_shards(run, node), order, io)
    saved = latest(io.out)
    assert saved is not None
    return summary, {"checkpoint": saved}


def _trainings_above(graph: Graph, node: Node) -> int:
    """Train stages on the way from the base model to a node; the same for all branches of one checkpoint."""
    above = graph.nodes[node.parents["from"]] if "from" in node.parents else None
    return 0 if above is None else int(above.kind == "train") + _trainings_above(graph, above)


def rl(run: Run, node: Node, io: StageIO) -> Result:
    """GRPO."""
    from octolab.midtrain.checkpoint import latest
    from octolab.rl.run import train_rl

    stage = node.spec
    assert isinstance(stage, RLStage)
    problems, bad = problems_of(run.recipe, stage.prompts)
    if stage.reward is None:  # a user's own grader may read golds in its own way
        problems = _gradable(problems, bad, stage.prompts)
    say_bad(bad, f"prompts {stage.prompts}", io)
    parent = run.output(node.parents["from"], "checkpoint")
    summary = train_rl(stage, parent, problems, template(stage.template), node.seed, io)
    saved = latest(io.out)
    assert saved is not None
    return summary, {"checkpoint": saved}


def _gradable(problems: list[Problem], bad: BadCounts, name: str) -> list[Problem]:
    """The problems whose gold verifies against itself; no completion could be right about the others.

    Raises UserError where none is left.
    """
    ungradable = {found.index for found in gold_audit(problem.answer for problem in problems)}
    for index in sorted(ungradable):
        bad.add("its gold does not verify against itself", f"{problems[index].id}: {problems[index].answer[:80]!r}")
    kept = [problem for index, problem in enumerate(problems) if index not in ungradable]
    if not kept:
        raise UserError(f"prompts {name!r}: no gold verifies against itself; see `octolab verify` for what is wrong")
    return kept


def evaluate(run: Run, node: Node, io: StageIO) -> Result:
    """Benchmarks and bits per byte of one checkpoint."""
    from octolab.evaluate.runner import FEW_SHOT, Prompted
    from octolab.evaluate.runner import evaluate as run_evaluation

    stage = node.spec
    assert isinstance(stage, EvaluateStage)
    frame = template(stage.template)
    sets: list[Prompted] = []
    for name in stage.benchmarks:
        problems, bad = problems_of(run.recipe, name)
        say_bad(bad, f"benchmark {name}", io)
        ungradable = gold_audit(problem.answer for problem in problems)
        if ungradable:
            first = problems[ungradable[0].index]
            io.log(f"benchmark {name}: {len(ungradable)} golds cannot be matched by any answer (first: {first.id})")
        problems = problems[: stage.limit]
        called = name if stage.reading is None else f"{name}@{stage.reading}"
        stops = (*frame.stop_strings, *stage.stop_strings)
        sets.append(Prompted(called, name, problems, [frame.render(p.question) for p in problems], stops, "rl"))
        if stage.few_shot is not None:
            shown = _exemplars(run.recipe, stage, name)
            shots = stage.few_shot.shots
            prompts = [few_shot_prompt(shown, problem.question, shots, frame) for problem in problems]
            sets.append(Prompted(called + FEW_SHOT, name, problems, prompts, few_shot_stops(frame), "eval"))
    heldout = {source: opened.heldout() for source, opened in open_shards(run, node).items()}
    checkpoint = run.output(node.parents["of"], "checkpoint")
    scores = run_evaluation(stage, checkpoint, node.parents["of"], sets, heldout, node.seed, io)
    summary = {"sets": {name: {"acc": one["acc"], "n": one["n"]} for name, one in scores["sets"].items()}}
    return summary, {"scores": io.out / "scores.json", "samples": io.out / "samples.jsonl"}


def _exemplars(recipe: Recipe, stage: EvaluateStage, benchmark: str) -> list[Problem]:
    assert stage.few_shot is not None
    name = stage.few_shot.exemplars
    if name is not None and is_data(recipe, name):
        return problems_of(recipe, name)[0][: stage.few_shot.shots]
    return exemplars_for(name or benchmark)


def report(run: Run, node: Node, io: StageIO) -> Result:
    """The page and the summary, at the run's root."""
    from octolab.report import write_report

    page = write_report(run.directory.path, set(run.graph.nodes))
    return {"page": page.name}, {"page": page, "summary": page.with_name("summary.json")}


WORK: dict[str, Callable[[Run, Node, StageIO], Result]] = {
    "curate": curate,
    "tokenizer": tokenizer,
    "shards": shards,
    "model": model,
    "train": train,
    "rl": rl,
    "evaluate": evaluate,
    "report": report,
}
