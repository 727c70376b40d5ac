"""What a recipe claims of its run: statements with bounds, written down before anything has run.

A claim names sums of measured quantities and the bound that each must keep. Quantities are named by the checkpoint
that was evaluated: `{rl/short: 1, short: -1}` is what RL gained on `short`. The report works out each sum with its
95% interval and says whether the claim holds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from octolab.recipe.fields import Section, semantic

LIMITS = ("at_least", "at_most", "above", "within")


class Bound(Section):
    """One sum and its bound: exactly one of `at_least`, `at_most`, `above`, `within`.

    In points for shares (accuracy, truncation) and in tokens for length.
    """

    sum: dict[str, float] = semantic(min_length=1)
    """Evaluated checkpoint (model or stage node) -> factor."""
    measure: Literal["accuracy", "truncation", "length"] = semantic("accuracy")
    """What is measured: share of right samples, share cut off at the cap, or tokens of a completion."""
    sets: list[str] | None = semantic(None, min_length=1)
    """Evaluation sets whose problems are pooled; absent: the claim's."""
    family: str | None = semantic(None)
    """Only problems of this family."""
    at_least: float | None = semantic(None)
    """The sum is this or more."""
    at_most: float | None = semantic(None)
    """The sum is this or less."""
    above: float | None = semantic(None)
    """The sum is more than this."""
    within: float | None = semantic(None, gt=0)
    """The sum is no further from 0 than this."""

    @model_validator(mode="after")
    def _one_limit(self) -> Bound:
        given = [name for name in LIMITS if getattr(self, name) is not None]
        if len(given) != 1:
            found = ", ".join(given) or "none"
            raise ValueError(f"give exactly one of {', '.join(LIMITS)} (found {found})")
        return self

    @property
    def limit(self) -> tuple[str, float]:
        """Name and value of the bound."""
        return next((name, value) for name in LIMITS if (value := getattr(self, name)) is not None)


class StatedClaim(Section):
    """A statement that holds if every one of its bounds does."""

    statement: str = semantic(min_length=1)
    """The claim in words."""
    sets: list[str] = semantic(min_length=1)
    """Evaluation sets whose problems are pooled, where a bound names none."""
    all: list[Bound] = semantic(min_length=1)
    """The bounds."""
