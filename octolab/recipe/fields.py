"""The three roles of a recipe field.

`semantic` fields change the result and enter a stage's key. `runtime` fields (micro-batch size, workers, how
often to save) never do. `extendable` fields enter the key but not the base key: a larger value continues the
finished stage instead of redoing it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["semantic", "runtime", "extendable"]


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys refused, values frozen, docstrings kept as descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True, allow_inf_nan=False
    )


def semantic(default: Any = ..., **limits: Any) -> Any:
    """A field that changes the result."""
    return Field(default, json_schema_extra={"role": "semantic"}, **limits)


def runtime(default: Any = ..., **limits: Any) -> Any:
    """A field that changes only how the result is reached."""
    return Field(default, json_schema_extra={"role": "runtime"}, **limits)


def extendable(default: Any = ..., **limits: Any) -> Any:
    """A field whose larger value continues the stage."""
    return Field(default, json_schema_extra={"role": "extendable"}, **limits)


def role_of(section: type[BaseModel], field: str) -> Role:
    """The role of a field; every field must have been declared with one."""
    extra = section.model_fields[field].json_schema_extra
    assert isinstance(extra, dict), f"{section.__name__}.{field} has no role"
    return extra["role"]  # type: ignore[return-value]
