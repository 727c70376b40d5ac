"""From a name or a file to a validated recipe.

A recipe is a YAML file, or the name of one shipped in `octolab/recipes`. `extends:` merges it over another;
`--set a.b=value` writes into it (the value is YAML). Every mistake becomes one sentence with file, field and
remedy; an unknown key is answered with the nearest known one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from octolab.errors import UserError, hint
from octolab.recipe.data import DataSpec, ModelSpec, SourceSpec
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import (
    CurateStage,
    EvaluateStage,
    FewShot,
    ReportStage,
    RLStage,
    Schedule,
    TokenizerStage,
    TrainStage,
)

SHIPPED = Path(__file__).resolve().parent.parent / "recipes"
ORIGINS = ("hub", "path", "make", "from", "init", "data")
KINDS: dict[str, type[BaseModel]] = {
    "curate": CurateStage,
    "tokenizer": TokenizerStage,
    "train": TrainStage,
    "rl": RLStage,
    "evaluate": EvaluateStage,
    "report": ReportStage,
}


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, extend, override and validate a recipe.

    Args:
        recipe: path of a YAML file, or a shipped recipe's name.
        overrides: `a.b.c=value` texts, applied in order.

    Raises:
        UserError: the recipe is absent, not YAML, or does not fit the schema.
    """
    path = find_recipe(recipe)
    values = _read(path, ())
    for text in overrides:
        apply_override(values, text)
    return validate(values, path.name)


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with OctoLab."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def find_recipe(recipe: str | Path) -> Path:
    """The file of a recipe given by path or shipped name."""
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UserError(f"recipe {path} does not exist; check the path (shipped: {', '.join(shipped_recipes())})")
        return path
    shipped = SHIPPED / f"{recipe}.yaml"
    if not shipped.is_file():
        advice = hint(str(recipe), shipped_recipes())
        raise UserError(f"recipe {str(recipe)!r} is neither a file nor shipped{advice}")
    return shipped


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}; mend that line") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no recipe; start it with `name:` and `stages:`")
    base = values.pop("extends", None)
    if base is None:
        return values
    if path.resolve() in seen:
        raise UserError(f"{path}: `extends` goes round in a circle; remove one of them")
    beside = path.parent / str(base)
    parent = _read(beside if beside.is_file() else find_recipe(str(base)), (*seen, path.resolve()))
    return merge(parent, values)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, dictionaries merged at every depth; a new origin replaces the old one."""
    merged = dict(base)
    if any(name in over for name in ORIGINS):
        merged = {name: value for name, value in merged.items() if name not in ORIGINS}
    for name, value in over.items():
        old = base.get(name)
        keep = isinstance(old, dict) and isinstance(value, dict) and name not in ("mixture", "args")
        merged[name] = merge(old, value) if keep else value  # type: ignore[arg-type]
    return merged


def apply_override(values: dict[str, Any], text: str) -> None:
    """Write `a.b.c=value` into `values`.

    Raises:
        UserError: the text has no `=`, its value is not YAML, or it passes through something that is no section.
    """
    place, sign, value = text.partition("=")
    names = place.strip().split(".")
    if not sign or not all(names):
        raise UserError(f"--set {text!r} is not of the form stages.rl.steps=20")
    try:
        parsed = yaml.safe_load(value) if value.strip() else None
    except yaml.YAMLError as error:
        raise UserError(f"--set {place}: {value!r} is not YAML; quote it") from error
    known = values.get(names[0])
    if names[0] in ("models", "stages") and len(names) > 2 and isinstance(known, dict) and names[1] not in known:
        raise UserError(f"--set {place}: there is no {names[0]}.{names[1]}{hint(names[1], list(known))}")
    at: Any = values
    for depth, name in enumerate(names[:-1]):
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise UserError(f"--set {place}: {'.'.join(names[: depth + 1])} is a value, not a section")
    if names[0] in ("sources", "data", "models") and len(names) == 3 and names[-1] in ORIGINS:
        for origin in ORIGINS:
            at.pop(origin, None)
    at[names[-1]] = parsed


def validate(values: dict[str, Any], where: str) -> Recipe:
    """Check values against the schema.

    Raises:
        UserError: the first mistake, as one sentence.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(error, where)) from error


def stage_of(values: dict[str, Any], name: str, where: str) -> Any:
    """One stage of a known kind from its values; `name` is its place in the recipe.

    Raises:
        UserError: a value does not fit.
    """
    kind = values["kind"]
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(error, where, ("stages", name, kind))) from error


def _sentence(error: ValidationError, where: str, outer: tuple[str, ...] = ()) -> str:
    mistakes = error.errors()
    first = min(mistakes, key=lambda mistake: mistake["type"] != "extra_forbidden")
    place = [*outer, *(str(part) for part in first["loc"])]
    section = _section(place)
    if len(place) > 2 and place[0] == "stages" and place[2] in KINDS:
        del place[2]
    name = ".".join(place) or "recipe"
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = [field.alias or key for key, field in section.model_fields.items()]
        return f"{where}: unknown key {name}{hint(place[-1], known)}{more}"
    if first["type"] == "missing":
        return f"{where}: {name} is missing; add it{more}"
    if first["type"] == "union_tag_invalid":
        return f"{where}: {name}.kind is {first['ctx']['tag']}{hint(first['ctx']['tag'], list(KINDS))}{more}"
    if first["type"] == "union_tag_not_found":
        return f"{where}: {name}.kind is missing; add one of {', '.join(KINDS)}{more}"
    if first["type"] == "value_error":
        return f"{where}: {name}: {first['ctx']['error']}{more}"
    given = repr(first["input"])
    given = given if len(given) <= 60 else f"{given[:57]}..."
    return f"{where}: {name} is {given}: {first['msg'][0].lower()}{first['msg'][1:]}{more}"


def _section(place: list[str]) -> type[BaseModel]:
    """The schema class that a place of a mistake lies in, for the names it knows."""
    if len(place) <= 1:
        return Recipe
    if place[0] in ("models", "sources", "data"):
        sections: dict[str, type[BaseModel]] = {"models": ModelSpec, "sources": SourceSpec, "data": DataSpec}
        return sections[place[0]]
    if place[0] == "stages" and len(place) > 2 and place[2] in KINDS:
        if "schedule" in place[3:-1]:
            return Schedule
        return FewShot if "few_shot" in place[3:-1] else KINDS[place[2]]
    return Recipe
