"""Names in a recipe that stand for something outside it: problem sets, converters, steps, templates, exemplars.

All are looked up before any work begins, so that a misspelt template is not found out after a week of training.
The user's own `module:function` is left to the keys, which hash its source.
"""

from __future__ import annotations

from collections.abc import Iterable

from octolab.corpus.convert import CONVERTERS
from octolab.corpus.steps import STEPS
from octolab.errors import UserError, hint
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import CurateStage, EvaluateStage, RLStage
from octolab.tasks.few_shot import SHIPPED
from octolab.tasks.registry import DATA_SETS
from octolab.tasks.templates import TEMPLATES


def check_names(recipe: Recipe) -> None:
    """Raises:
    UserError: a name is unknown; the message has its place and the nearest known one.
    """
    sets = [*recipe.data, *DATA_SETS]
    for name, source in recipe.sources.items():
        _known(source.convert, CONVERTERS, f"sources.{name}.convert", "converter")
        if source.data is not None:
            _known(source.data, sets, f"sources.{name}.data", "problem set")
    for name, stage in recipe.stages.items():
        where = f"stages.{name}"
        if isinstance(stage, CurateStage):
            for step in step_names(stage):
                _known(step, STEPS, f"{where}.steps", "corpus step")
            for against in stage.decontaminate_against or []:
                _known(against, sets, f"{where}.decontaminate_against", "problem set")
        if isinstance(stage, EvaluateStage):
            _same_template(recipe, stage, where)
        if isinstance(stage, RLStage | EvaluateStage):
            _known(stage.template, TEMPLATES, f"{where}.template", "template")
        if isinstance(stage, RLStage):
            _known(stage.prompts, sets, f"{where}.prompts", "problem set")
        if isinstance(stage, EvaluateStage):
            for benchmark in stage.benchmarks:
                _known(benchmark, sets, f"{where}.benchmarks", "problem set")
            _check_exemplars(stage, sets, f"{where}.few_shot.exemplars")


def _check_exemplars(stage: EvaluateStage, sets: list[str], where: str) -> None:
    if stage.few_shot is None:
        return
    if stage.few_shot.exemplars is not None:
        _known(stage.few_shot.exemplars, [*sets, *SHIPPED], where, "set of exemplars")
        return
    for benchmark in stage.benchmarks:
        if benchmark not in SHIPPED:
            raise UserError(f"{where} is absent and none are shipped for {benchmark!r}; name a problem set")


def step_names(stage: CurateStage) -> list[str]:
    """Names of a curate stage's steps, without their arguments."""
    return [step if isinstance(step, str) else next(iter(step)) for step in stage.steps]


def _known(name: str, known: Iterable[str], where: str, what: str) -> None:
    names = list(dict.fromkeys(known))
    if ":" not in name and name not in names:
        raise UserError(f"{where} names {name!r}, which is no known {what}{hint(name, names)}")


def _same_template(recipe: Recipe, stage: EvaluateStage, where: str) -> None:
    """Zero-shot sets are asked with the template of RL, or before and after would not be about RL."""
    for name, other in recipe.stages.items():
        if isinstance(other, RLStage) and other.template != stage.template:
            raise UserError(
                f"{where}.template is {stage.template} and stages.{name}.template is {other.template}: zero-shot sets "
                "are asked with RL's template; set both the same"
            )
