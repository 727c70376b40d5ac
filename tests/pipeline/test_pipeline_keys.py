"""What changes a stage's key, and what must not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_recipe import values, write_lines

from octolab.errors import UserError
from octolab.pipeline.graph import Graph
from octolab.pipeline.keys import STAGE_VERSION, Keys, keys_of
from octolab.recipe.load import load_recipe
from octolab.recipe.schema import Recipe

ALL = {
    "curate", "tokenizer", "plain", "shards/web", "shards/short", "stable", "branch", "rl/stable", "rl/branch",
    "eval/stable", "eval/branch", "eval/rl/stable", "eval/rl/branch", "report",
}  # fmt: skip
RL = {"rl/stable", "rl/branch", "eval/rl/stable", "eval/rl/branch", "report"}
EVALUATIONS = {"eval/stable", "eval/branch", "eval/rl/stable", "eval/rl/branch", "report"}
BRANCH = {"branch", "rl/branch", "eval/branch", "eval/rl/branch", "report"}
TRAINED = {"stable", "eval/stable", *RL, *BRANCH}


@pytest.fixture(scope="session")
def before(tiny: Callable[..., Recipe]) -> dict[str, Keys]:
    return keys_of(Graph(tiny()))


def changed(before: dict[str, Keys], after: dict[str, Keys]) -> tuple[set[str], set[str]]:
    """Nodes with another key, and those with another base key."""
    assert before.keys() == after.keys()
    return (
        {name for name in before if before[name].key != after[name].key},
        {name for name in before if before[name].base != after[name].base},
    )


def test_all_nodes_have_keys_and_the_same_recipe_has_the_same(before, tiny):
    assert before.keys() == ALL
    assert keys_of(Graph(tiny())) == before
    assert len({one.key for one in before.values()}) == len(ALL)


@pytest.mark.parametrize(
    "change",
    [
        "stages.stable.max_tokens_per_microbatch=96",
        "stages.stable.checkpoint_seconds=1",
        "stages.stable.compile=true",
        "stages.rl.max_tokens_per_microbatch=64",
        "stages.rl.rows=3",
        "stages.rl.verifier_workers=2",
        "stages.rl.checkpoint_seconds=1",
        "stages.eval.rows=2",
        "stages.eval.verifier_workers=2",
        "stages.stable.weight_decay=0.1",  # its default, spelt out
        "name=other",
    ],
)
def test_what_does_not_change_the_result_changes_no_key(before, tiny, change):
    assert changed(before, keys_of(Graph(tiny(change)))) == (set(), set())


@pytest.mark.parametrize(
    ("change", "nodes"),
    [
        ("stages.branch.schedule.cosine=1e-3", BRANCH),
        ("stages.branch.schedule.floor=0.5", BRANCH),
        ("stages.stable.schedule.constant=1e-3", TRAINED),
        ("stages.stable.clip=0.5", TRAINED),
        ("stages.rl.learning_rate=1e-2", RL),
        ("stages.rl.setting=octothinker", RL),
        ("stages.rl.seed=9", RL),
        ("stages.eval.temperature=0.5", EVALUATIONS),
        ("stages.eval.benchmarks=[prompts]", ALL),  # decontamination is against them
        ("data.test.limit=3", ALL),
        ("data.prompts.limit=3", RL),
        ("stages.curate.steps=[extract]", ALL),
        ("sources.pages.limit=5", ALL),
        ("models.plain.init.width=16", {"plain", *TRAINED}),
        ("stages.branch.mixture={web: 1.0}", BRANCH),
    ],
)
def test_a_semantic_field_changes_its_stage_and_its_descendants_only(tiny, before, change, nodes):
    assert changed(before, keys_of(Graph(tiny(change)))) == (nodes, nodes)


def test_another_row_length_of_one_stage_leaves_the_shards_of_others(before, tiny):
    after = keys_of(Graph(tiny("stages.stable.sequence_length=32")))
    assert after["shards/short@tokenizer,48"].key == before["shards/short"].key
    assert after["shards/short"].key != before["shards/short"].key


def test_the_seed_changes_what_has_randomness(before, tiny):
    assert changed(before, keys_of(Graph(tiny("seed=6"))))[0] == {"plain", *TRAINED}
    assert changed(before, keys_of(Graph(tiny("stages.curate.seed=6", "stages.tokenizer.seed=6")))) == (set(), set())


@pytest.mark.parametrize(("change", "stage"), [("stages.rl.steps=9", "rl"), ("stages.stable.steps=9", "stable")])
def test_more_steps_keep_the_base_key(before, tiny, change, stage):
    keys, bases = changed(before, keys_of(Graph(tiny(change))))
    own = {name for name in ALL if name.split("/")[0] == stage}
    assert keys == (RL if stage == "rl" else TRAINED)
    assert bases == keys - own, "children hash the parent's key"
    after = keys_of(Graph(tiny(change)))
    assert all(after[name].extendable == {"steps": 9} for name in own)


def test_steps_of_a_cosine_are_part_of_it(before, tiny):
    assert changed(before, keys_of(Graph(tiny("stages.branch.steps=9")))) == (BRANCH, BRANCH)
    assert before["branch"].extendable == {}


def test_a_changed_data_file_changes_what_reads_it_and_a_touched_one_does_not(tiny_recipe):
    def keys() -> dict[str, Keys]:
        return keys_of(Graph(load_recipe(tiny_recipe)))

    world, first = tiny_recipe.parent, keys()
    for file in world.rglob("*.*"):
        os.utime(file, (1, 1))
    assert keys() == first
    prompts = world / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace("What is", "How much is"))
    second = keys()
    assert changed(first, second)[0] == RL
    (world / "shown.jsonl").write_text((world / "shown.jsonl").read_text().replace("What", "WHAT"))
    third = keys()
    assert changed(second, third)[0] == EVALUATIONS
    (world / "pages" / "p99.html").write_text("<p>One page more.</p>")
    assert changed(third, keys())[0] == ALL


def test_a_changed_module_of_the_users_own_changes_keys(tiny_recipe, monkeypatch):
    world = tiny_recipe.parent
    first = keys_of(Graph(load_recipe(tiny_recipe)))
    reward = world / "tiny_reward.py"
    reward.write_text(reward.read_text().replace("% 2", "% 3"))
    assert changed(first, keys_of(Graph(load_recipe(tiny_recipe))))[0] == RL
    (world / "own_step.py").write_text("def keep():\n    return lambda documents: documents\n")
    (world / "own_rows.py").write_text("def rows():\n    return []\n")
    sets = ["stages.curate.steps=['own_step:keep', extract]", "sources.short.make=own_rows:rows"]
    second = keys_of(Graph(load_recipe(tiny_recipe, sets)))
    (world / "own_step.py").write_text("def keep():\n    return lambda documents: list(documents)\n")
    third = keys_of(Graph(load_recipe(tiny_recipe, sets)))
    assert changed(second, third)[0] == ALL
    (world / "own_rows.py").write_text("def rows():\n    return [1]\n")
    assert changed(third, keys_of(Graph(load_recipe(tiny_recipe, sets))))[0] == ALL - {"curate"}
    with pytest.raises(UserError, match=r"absent_module:f.*PYTHONPATH"):
        keys_of(Graph(load_recipe(tiny_recipe, ["stages.rl.reward=absent_module:f"])))


def test_a_changed_checkpoint_or_tokenizer_on_disk_changes_keys(tmp_path, world):
    model, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    for folder in (model, tokenizer):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    written = values(world)
    written["models"]["plain"] = {"path": str(model), "tokenizer": str(tokenizer)}
    recipe = Recipe.model_validate(written)
    first = keys_of(Graph(recipe))
    (tokenizer / "tokenizer.json").write_text("{}")
    second = keys_of(Graph(recipe))
    assert changed(first, second)[0] == {"plain", "shards/web", "shards/short", *TRAINED}
    (model / "model.safetensors").write_bytes(b"1")
    assert changed(second, keys_of(Graph(recipe)))[0] == {"plain", "shards/web", "shards/short", *TRAINED}


def test_a_stage_version_counts(before, tiny, monkeypatch):
    monkeypatch.setitem(STAGE_VERSION, "rl", STAGE_VERSION["rl"] + 1)
    assert changed(before, keys_of(Graph(tiny())))[0] == RL


def test_absent_data_is_named_before_anything_is_done(tiny):
    with pytest.raises(UserError, match=r"data\.prompts\.path: nothing is at /nowhere\.jsonl"):
        keys_of(Graph(tiny("data.prompts.path=/nowhere.jsonl")))
    with pytest.raises(UserError, match=r"sources\.short\.path: nothing is at /nowhere/\*\.jsonl"):
        keys_of(Graph(tiny("sources.short.path=/nowhere/*.jsonl")))


def test_files_of_a_glob_count_by_name_and_content(tmp_path, tiny):
    def key() -> str:
        return keys_of(Graph(tiny(f"data.prompts.path={json.dumps(str(tmp_path / '*.jsonl'))}")))["rl/stable"].key

    write_lines(tmp_path / "a.jsonl", [{"question": "1 + 1?", "answer": "2"}])
    one = key()
    write_lines(tmp_path / "b.jsonl", [{"question": "1 + 2?", "answer": "3"}])
    two = key()
    write_lines(tmp_path / "ignored.txt", [{"question": "1 + 2?", "answer": "3"}])
    assert len({one, two}) == 2 and key() == two
    Path(tmp_path / "b.jsonl").rename(tmp_path / "c.jsonl")
    assert key() not in (one, two)
