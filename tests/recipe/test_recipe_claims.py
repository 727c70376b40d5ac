"""Stated claims in a recipe: one limit a bound, and what is misspelt is named."""

from __future__ import annotations

import pytest

from octolab.errors import UserError
from octolab.recipe.load import load_recipe, shipped_recipes, validate
from octolab.recipe.stages import ReportStage

CLAIM = {"statement": "RL helps", "sets": ["word"], "all": [{"sum": {"rl/short": 1, "short": -1}, "above": 0}]}


def recipe(**changes: object) -> dict:
    """A recipe whose report states one claim."""
    return {"name": "x", "stages": {"report": {"kind": "report", "claims": {"helps": CLAIM | changes}}}}


def test_a_bound_has_exactly_one_limit() -> None:
    stage = validate(recipe(), "x.yaml").stages["report"]
    assert isinstance(stage, ReportStage) and stage.claims["helps"].all[0].limit == ("above", 0.0)
    for limits in ({}, {"above": 0, "at_most": 3}):
        with pytest.raises(
            UserError, match=r"claims.helps.all.0: give exactly one of at_least, at_most, above, within"
        ):
            validate(recipe(all=[{"sum": {"short": 1}} | limits]), "x.yaml")


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"claims.helps.statemnt"):
        validate(recipe(statemnt="x"), "x.yaml")
    with pytest.raises(UserError, match=r"measure is 'speed'"):
        validate(recipe(all=[{"sum": {"short": 1}, "above": 0, "measure": "speed"}]), "x.yaml")


def test_claims_of_shipped_recipes_name_their_own_nodes_and_sets() -> None:
    """A claim about a node that its recipe cannot have would be `cannot tell` for ever."""
    from octolab.pipeline.graph import Graph

    full = Graph(load_recipe("lab-full"))
    evaluated = {node.parents["of"] for node in full.nodes.values() if node.kind == "evaluate"}
    sets = {"lab", "lab_beyond", "lab@first_box"}
    for name in shipped_recipes():
        for stage in load_recipe(name).stages.values():
            for claim in stage.claims.values() if isinstance(stage, ReportStage) else ():
                for bound in claim.all:
                    assert set(bound.sum) <= evaluated, (name, claim.statement)
                    assert set(bound.sets or claim.sets) <= sets
