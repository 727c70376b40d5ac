"""From a recipe to nodes: their names, what they share, and every mistake as one sentence with place and remedy."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tiny_recipe import values

from octolab.errors import UserError
from octolab.pipeline.graph import Graph
from octolab.recipe.load import apply_override, validate

TRAIN = {
    "kind": "train",
    "from": "stable",
    "steps": 2,
    "sequences_per_step": 2,
    "sequence_length": 48,
    "schedule": {"constant": 1e-3},
    "mixture": {"web": 1.0},
}
BASE = values(Path("world"))


def graph(*sets: str, **stages: Any) -> Graph:
    """The tiny recipe's graph with overrides, and with stages more or (None) fewer."""
    changed = copy.deepcopy(BASE)
    for name, stage in stages.items():
        changed["stages"][name] = stage
        if stage is None:
            del changed["stages"][name]
    for text in sets:
        apply_override(changed, text)
    return Graph(validate(changed, "r.yaml"))


def names(kind: str, *sets: str, **stages: Any) -> list[str]:
    return [node.name for node in graph(*sets, **stages).nodes.values() if node.kind == kind]


def test_every_node_of_the_recipe_after_its_parents():
    nodes = graph().nodes
    assert list(nodes) == [
        "curate", "tokenizer", "plain", "shards/web", "shards/short", "stable", "branch", "rl/stable", "rl/branch",
        "eval/stable", "eval/branch", "eval/rl/stable", "eval/rl/branch", "report",
    ]  # fmt: skip
    seen: set[str] = set()
    for node in nodes.values():
        assert set(node.parents.values()) <= seen, node.name
        seen.add(node.name)
    assert nodes["rl/branch"].parents == {"from": "branch"}
    assert nodes["stable"].parents == {"from": "plain", "shards/web": "shards/web", "shards/short": "shards/short"}
    assert nodes["shards/web"].parents == {"tokenizer": "tokenizer", "documents/web": "curate"}
    assert set(nodes["report"].parents.values()) == seen - {"report"}


def test_order_in_the_file_does_not_matter():
    changed = copy.deepcopy(BASE)
    changed["stages"] = dict(reversed(changed["stages"].items()))
    nodes = Graph(validate(changed, "r")).nodes
    assert nodes["eval/rl/branch"].parents == graph().nodes["eval/rl/branch"].parents
    assert list(nodes)[-1] == "report"


def test_one_parent_by_name_makes_a_node_without_a_slash():
    assert names("rl", "stages.rl.from=branch", "stages.eval.of=['rl/*']") == ["rl"]
    assert names("rl", "stages.rl.from=[branch]") == ["rl/branch"]
    assert names("evaluate", "stages.rl.from=branch", "stages.eval.of=['rl/*']") == ["eval/rl"]


def test_matrix_names_and_values():
    nodes = graph("stages.rl.matrix={seed: [0, 1], learning_rate: [1e-5]}").nodes
    assert [name for name in nodes if name.startswith("rl/")] == [
        "rl/stable@seed=0,learning_rate=1e-5", "rl/branch@seed=0,learning_rate=1e-5",
        "rl/stable@seed=1,learning_rate=1e-5", "rl/branch@seed=1,learning_rate=1e-5",
    ]  # fmt: skip
    node = nodes["rl/branch@seed=1,learning_rate=1e-5"]
    assert (node.seed, node.spec.learning_rate) == (1, 1e-5)  # type: ignore[attr-defined]
    assert "eval/rl/branch@seed=1,learning_rate=1e-5" in nodes
    one = graph("stages.rl.matrix.seed=[0, 1]", "stages.eval.of=['rl/branch@seed=1']").nodes
    assert [name for name in one if name.startswith("eval")] == ["eval/rl/branch@seed=1"]


def test_matrix_on_a_nested_field_goes_down_to_the_children():
    nodes = graph("stages.stable.matrix={schedule.constant: [0.001, 0.002]}", "stages.branch.matrix.seed=[7, 8]").nodes
    assert [name for name in nodes if name.startswith("branch@")] == [
        f"branch@schedule.constant={rate},seed={seed}" for seed in (7, 8) for rate in (0.001, 0.002)
    ]
    assert nodes["stable@schedule.constant=0.002"].spec.schedule.constant == 0.002  # type: ignore[attr-defined]
    child = nodes["rl/branch@schedule.constant=0.002,seed=8"]
    assert child.parents == {"from": "branch@schedule.constant=0.002,seed=8"}


def test_matrix_over_a_named_setting_takes_each_ones_fields():
    nodes = graph("stages.rl.matrix.setting=[modern, octothinker]", "stages.rl.clip_low=0.1").nodes
    modern, paper = (nodes[f"rl/stable@setting={name}"].spec for name in ("modern", "octothinker"))
    assert (modern.advantage, modern.clip_high, modern.updates_per_step) == ("centred", 0.28, 1)  # type: ignore[attr-defined]
    assert (paper.advantage, paper.clip_high, paper.updates_per_step) == ("std", 0.2, 2)  # type: ignore[attr-defined]
    assert modern.clip_low == paper.clip_low == 0.1  # type: ignore[attr-defined]


def test_matrix_values_that_are_no_words_are_numbered():
    assert names("rl", "stages.rl.matrix={max_tokens: [8, [{step: 0, max_tokens: 4}]]}", "stages.rl.from=stable") == [
        "rl@max_tokens=8",
        "rl@max_tokens=v2",
    ]


def test_patterns():
    def evaluated(*of: str) -> list[str]:
        return [name.removeprefix("eval/") for name in names("evaluate", f"stages.eval.of={list(of)}")]

    assert evaluated("rl/*") == ["rl/stable", "rl/branch"]
    assert evaluated("rl/b*") == ["rl/branch"]
    assert evaluated("rl") == ["rl/stable", "rl/branch"]
    assert evaluated("*/branch") == ["rl/branch"]
    assert evaluated("*") == ["plain", "stable", "branch", "rl/stable", "rl/branch"]
    assert evaluated("stable", "sta*", "rl/stable") == ["stable", "rl/stable"]


def test_shards_are_shared_where_source_tokenizer_and_length_agree():
    assert names("shards", more=TRAIN) == ["shards/web", "shards/short"]
    nodes = graph(more=TRAIN | {"sequence_length": 32}).nodes
    assert nodes["more"].parents["shards/web"] == "shards/web@tokenizer,32"
    assert nodes["stable"].parents["shards/web"] == "shards/web"
    sets = ["models.other.init={width: 8, layers: 1, heads: 1, ffn: 8, positions: 64}", "models.other.tokenizer=second"]
    second = {"kind": "tokenizer", "sources": ["short"], "vocab_size": 280}
    changed = copy.deepcopy(BASE)
    changed["models"]["other"] = {}
    changed["stages"] |= {"second": second, "more": TRAIN | {"from": "other"}}
    for text in sets:
        apply_override(changed, text)
    other = Graph(validate(changed, "r")).nodes
    assert other["more"].parents["shards/web"] == "shards/web@second,48"
    assert other["shards/web@second,48"].parents == {"tokenizer": "second", "documents/web": "curate"}


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["stages.branch.from=stabel"], ["stages.branch.from", "'stabel'", "did you mean `stable`"]),
        (["stages.rl.from=[stable, brnch]"], ["stages.rl.from", "'brnch'", "did you mean `branch`"]),
        (["stages.eval.of=['lr/*']"], ["stages.eval.of", "'lr/*'", "neither a model nor a stage", "known: plain"]),
        (["stages.eval.of=['rl/brunch']"], ["stages.eval.of", "'rl/brunch'", "did you mean `rl/branch`"]),
        (["stages.rl.from=curate"], ["stages.rl.from", "kind curate", "makes no model", "known: plain, stable"]),
        (["stages.rl.from=eval"], ["stages.rl.from", "kind evaluate", "makes no model"]),
        (["stages.stable.from=branch"], ["circle", "stable -> branch -> stable", "change one `from`"]),
        (["stages.stable.from=stable"], ["circle", "stable -> stable"]),
        (["stages.stable.mixture={wbe: 1.0}"], ["stages.stable.mixture", "'wbe'", "did you mean `web`"]),
        (["stages.curate.sources=[pagse]"], ["stages.curate.sources", "'pagse'", "did you mean `pages`"]),
        (["stages.curate.sources=[web]"], ["circle", "curate -> curate"]),
        (["sources.web.from=curat"], ["sources.web.from", "'curat'", "did you mean `curate`"]),
        (["sources.web.from=stable"], ["sources.web.from", "'stable'", "no curate stage"]),
        (["models.plain.tokenizer=stable"], ["models.plain.tokenizer", "stable", "no tokenizer stage"]),
        (["stages.plain={kind: report}"], ["models.plain", "stages.plain", "rename one"]),
        (["stages.shards={kind: report}"], ["stages.shards", "choose another"]),
        (["stages.eval.bits_per_byte=[pages]"], ["stages.eval.bits_per_byte", "'pages'", "leave it out"]),
        (["stages.rl.matrix={learning_rat: [1]}"], ["stages.rl.learning_rat", "did you mean `learning_rate`"]),
        (["stages.stable.matrix={schedule.constnt: [1]}"], ["schedule.constnt", "did you mean `constant`"]),
        (["stages.rl.matrix={learning_rate: [fast]}"], ["stages.rl.learning_rate", "'fast'", "number"]),
        (["stages.rl.matrix={seed: []}"], ["stages.rl.matrix.seed", "no values", "leave it out"]),
        (["stages.rl.matrix={seed: [1, 1]}"], ["stages.rl.matrix.seed", "twice"]),
        (["stages.rl.matrix={kind: [rl, train]}"], ["stages.rl.matrix.kind", "cannot span"]),
        (["stages.tokenizer.matrix={vocab_size: [280, 300]}"], ["models.plain.tokenizer", "2 nodes", "for each"]),
        (["stages.curate.matrix={seed: [1, 2]}"], ["sources.web.from", "2 nodes", "a stage for each"]),
        (["stages.rl.prompts=promts"], ["stages.rl.prompts", "'promts'", "did you mean `prompts`"]),
        (["stages.rl.template=simpel"], ["stages.rl.template", "did you mean `simple`"]),
        (["stages.eval.benchmarks=[tset]"], ["stages.eval.benchmarks", "'tset'", "did you mean `test`"]),
        (["stages.eval.few_shot={shots: 1}"], ["stages.eval.few_shot.exemplars", "'test'", "name a problem set"]),
        (["stages.curate.steps=[extrac]"], ["stages.curate.steps", "did you mean `extract`"]),
        (["sources.short.convert=shortcot"], ["sources.short.convert", "did you mean `short_cot`"]),
        (["sources.short={data: gsm9k}"], ["sources.short.data", "'gsm9k'", "did you mean `gsm8k`"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_with_place_and_remedy(sets, words):
    with pytest.raises(UserError) as error:
        graph(*sets)
    text = str(error.value)
    assert "\n" not in text and len(text) < 300
    for word in words:
        assert word in text, text


def test_evaluation_asks_with_the_template_of_rl():
    """Before and after RL would else be told of prompts that RL never saw."""
    with pytest.raises(UserError, match=r"stages\.eval\.template is simple and stages\.rl\.template is orz"):
        graph("stages.rl.template=orz")
    assert graph("stages.rl.template=orz", "stages.eval.template=orz").nodes
