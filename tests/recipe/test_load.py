"""Reading recipes: extends, overrides, and every mistake as one sentence."""

from __future__ import annotations

import pytest
import yaml

from octolab.errors import UserError
from octolab.recipe.data import DataSpec, ModelSpec, SourceSpec
from octolab.recipe.fields import role_of
from octolab.recipe.load import KINDS, load_recipe, shipped_recipes, validate
from octolab.recipe.schema import Recipe
from octolab.recipe.schema import written as as_written
from octolab.recipe.stages import FewShot, LengthStep, Schedule

GOOD = {
    "name": "r",
    "models": {"base": {"path": "somewhere"}},
    "sources": {"a": {"path": "a.jsonl"}},
    "stages": {
        "stable": {
            "kind": "train",
            "from": "base",
            "steps": 2,
            "sequences_per_step": 2,
            "sequence_length": 8,
            "schedule": {"constant": 1e-3},
            "mixture": {"a": 1.0},
        },
        "rl": {"kind": "rl", "from": ["stable"], "prompts": "gsm8k_train", "steps": 3},
    },
}


def written(tmp_path, values, name="r.yaml"):
    path = tmp_path / name
    path.write_text(yaml.safe_dump(values))
    return path


def changed(*place, value):
    values = yaml.safe_load(yaml.safe_dump(GOOD))
    at = values
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    return values


def test_named_setting_fills_only_what_is_absent():
    rl = validate(changed("stages", "rl", "setting", value="octothinker"), "r").stages["rl"]
    assert (rl.advantage, rl.clip_high, rl.updates_per_step) == ("std", 0.2, 2)
    values = changed("stages", "rl", "setting", value="octothinker")
    values["stages"]["rl"]["clip_high"] = 0.3
    assert validate(values, "r").stages["rl"].clip_high == 0.3
    assert validate(GOOD, "r").stages["rl"].clip_high == 0.28


def test_a_written_recipe_takes_another_setting():
    """The resolved recipe.yaml of a run names its setting instead of freezing what the setting said."""
    values = as_written(validate(GOOD, "r"))
    assert validate(values, "r") == validate(GOOD, "r")
    values["stages"]["rl"]["setting"] = "octothinker"
    assert validate(values, "r").stages["rl"].updates_per_step == 2


def test_extends_and_overrides(tmp_path):
    written(tmp_path, GOOD, "base.yaml")
    path = written(tmp_path, {"extends": "base.yaml", "name": "child", "stages": {"stable": {"steps": 7}}})
    recipe = load_recipe(path, ["stages.rl.steps=20", "sources.a.make=m:f", "data.gsm8k.path=x.jsonl"])
    assert recipe.name == "child"
    assert recipe.stages["stable"].steps == 7
    assert recipe.stages["stable"].sequence_length == 8
    assert recipe.stages["rl"].steps == 20
    assert (recipe.sources["a"].make, recipe.sources["a"].path) == ("m:f", None)
    assert recipe.data["gsm8k"].path == "x.jsonl"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (changed("stages", "stable", "stepss", value=1), ["stages.stable.stepss", "did you mean `steps`"]),
        (changed("stages", "stable", "steps", value="many"), ["stages.stable.steps", "'many'"]),
        (changed("stages", "stable", "mixture", value={"a": 0.7}), ["stages.stable.mixture", "0.7", "scale"]),
        (changed("stages", "stable", "kind", value="trian"), ["stages.stable.kind", "`train`"]),
        (changed("stages", "stable", "schedule", value={}), ["constant", "cosine"]),
        (changed("stages", "rl", "prompts_per_step", value=0), ["stages.rl.prompts_per_step"]),
        (changed("sources", "a", value={"path": "x", "hub": "y"}), ["sources.a", "exactly one", "`hub`, `path`"]),
        (changed("models", "base", value={"init": {"width": 8, "layers": 1, "heads": 1, "ffn": 8, "positions": 8}}),
         ["models.base", "tokenizer"]),
        (changed("stages", "a/b", value=GOOD["stages"]["rl"]), ["a/b"]),
        (changed("nmae", value=1), ["nmae", "did you mean `name`"]),
        (changed("stages", "stable", "mixture", value={"a": float("nan")}), ["stages.stable.mixture"]),
        (changed("stages", "stable", "schedule", value={"constant": float("inf")}), ["stages.stable.schedule"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(values, words):
    with pytest.raises(UserError) as error:
        validate(values, "r.yaml")
    text = str(error.value)
    assert text.startswith("r.yaml") and "\n" not in text
    for word in words:
        assert word in text


def test_absent_torn_and_circular_files(tmp_path):
    with pytest.raises(UserError, match="did you mean `smoke`"):
        load_recipe("smok")
    with pytest.raises(UserError, match=r"none\.yaml does not exist"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(UserError, match="not YAML"):
        load_recipe(tmp_path / "bad.yaml")
    written(tmp_path, {"extends": "two.yaml"}, "one.yaml")
    written(tmp_path, {"extends": "one.yaml"}, "two.yaml")
    with pytest.raises(UserError, match="circle"):
        load_recipe(tmp_path / "one.yaml")
    with pytest.raises(UserError, match=r"stages\.rl\.steps=20"):
        load_recipe(written(tmp_path, GOOD), ["stages.rl.steps"])


def test_every_field_has_a_role_and_a_docstring():
    for section in [Recipe, ModelSpec, SourceSpec, DataSpec, Schedule, FewShot, LengthStep, *KINDS.values()]:
        for name, field in section.model_fields.items():
            assert role_of(section, name) in ("semantic", "runtime", "extendable")
            assert field.description, f"{section.__name__}.{name}"


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name):
    assert load_recipe(name).stages
