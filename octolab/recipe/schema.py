"""A whole recipe."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from octolab.recipe.data import DataSpec, ModelSpec, SourceSpec
from octolab.recipe.fields import Section, semantic
from octolab.recipe.stages import AnyStage, without_setting


class Recipe(Section):
    """One recipe: models, sources, problem sets and the stages that join them."""

    name: str = semantic(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run; its directory is runs/<name> unless --out says otherwise."""
    seed: int = semantic(0)
    """Seed of everything that has none of its own."""
    models: dict[str, ModelSpec] = semantic({})
    """Base models by name."""
    sources: dict[str, SourceSpec] = semantic({})
    """Sources of documents by name."""
    data: dict[str, DataSpec] = semantic({})
    """Problem sets by name; names that OctoLab knows need no entry."""
    stages: dict[str, AnyStage] = semantic(min_length=1)
    """Stages by name."""

    @field_validator("models", "stages", "sources", "data")
    @classmethod
    def _plain_names(cls, entries: dict) -> dict:
        for name in entries:
            if not name or any(sign in name for sign in "/@*?[] \\") or name.startswith("."):
                raise ValueError(f"{name!r} is not a name: no spaces, no '/', '@', '*', '?', '[', no leading dot")
        return entries


def written(recipe: Recipe) -> dict[str, Any]:
    """A recipe as its YAML file would say it: what is absent stays absent, a named setting stays a name."""
    values = recipe.model_dump(mode="json", by_alias=True, exclude_none=True)
    values["stages"] = {name: without_setting(stage) for name, stage in values["stages"].items()}
    return values
