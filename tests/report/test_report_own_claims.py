"""A recipe's own claims on their way through a run: into the summary, onto the page, and over several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from octolab.errors import UserError
from octolab.report import collect, write_report
from octolab.report.seeds import over_seeds, seeds_text, write_seeds

MakeRun = Callable[..., Path]
CLAIMS = {
    "short_gains": {
        "statement": "RL gains <short> at least 5 points",
        "sets": ["word", "search"],
        "all": [
            {"sum": {"rl/short": 1, "short": -1}, "at_least": 5},
            {"sum": {"rl/short": 1, "rl/plain": -1}, "above": 0, "sets": ["search"]},
        ],
    },
    "rich_too": {
        "statement": "RL gains rich",
        "sets": ["word"],
        "all": [{"sum": {"rl/rich": 1, "rich": -1}, "above": 0}],
    },
}


def stating(run: Path, seed: int = 0) -> Path:
    """The run with claims in its recipe, and that seed."""
    file = run / "recipe.yaml"
    recipe = yaml.safe_load(file.read_text())
    recipe["seed"] = seed
    recipe["stages"]["report"] = {"kind": "report", "claims": CLAIMS}
    file.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return run


def pooled(model: dict[str, Any], when: str, sets: tuple[str, ...]) -> float:
    """Accuracy over the problems of several sets, as another program would compute it from the summary."""
    scores = [model[when][set_] for set_ in sets]
    return sum(s["acc"] * s["n"] for s in scores) / sum(s["n"] for s in scores)


def test_claims_can_be_recomputed_from_the_models_of_the_summary(make_run: MakeRun) -> None:
    summary = collect(stating(make_run(models=("plain", "short"))))
    first, absent = (claim for claim in summary["claims"] if "parts" in claim)
    model = summary["models"]["short"]
    gain = pooled(model, "after", ("word", "search")) - pooled(model, "before", ("word", "search"))
    assert first["parts"][0]["effect"] == pytest.approx(100 * gain)
    apart = model["after"]["search"]["acc"] - summary["models"]["plain"]["after"]["search"]["acc"]
    assert first["parts"][1]["effect"] == pytest.approx(100 * apart)
    assert first["verdict"] == "holds" and absent["verdict"] == "cannot tell" and absent["effect"] is None
    score = model["after"]["word"]
    right = [int(count) for count in score["right"].split()]
    assert len(right) == score["n"] == len(summary["problems"]["word"])
    assert sum(right) / (score["n"] * score["samples"]) == pytest.approx(score["acc"])


def test_flipping_the_labels_of_a_copied_log_flips_the_verdict(make_run: MakeRun) -> None:
    run = stating(make_run(models=("plain", "short")))
    for log in run.glob("stages/eval/**/samples.jsonl"):
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        log.write_text("".join(json.dumps(row | {"correct": not row["correct"]}) + "\n" for row in rows))
    assert collect(run)["claims"][0]["verdict"] == "does not hold"


def test_the_page_tells_them_first_in_words_and_in_a_table(make_run: MakeRun) -> None:
    html = write_report(stating(make_run(models=("plain", "short")))).read_text(encoding="utf-8")
    assert "Of the 2 claims that were written down beforehand, 1 hold" in html
    claims = html[html.index('<section id="claims">') : html.index('<section id="evaluation">')]
    assert claims.index("RL gains &lt;short&gt; at least 5 points") < claims.index("Every bound of these claims")
    assert "<td>≥ 5</td>" in claims and "rl/short − short" in claims
    assert claims.index("Every bound") < claims.index("RL raises plain")


def test_seeds_side_by_side(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [stating(make_run(f"{seed}/tiny", models=("plain", "short"), seed=seed), seed) for seed in (1, 2, 3)]
    value = write_seeds(tmp_path, runs)
    assert value == json.loads((tmp_path / "seeds.json").read_text()) and value["seeds"] == [1, 2, 3]
    (part, _) = value["claims"][0]["parts"]
    assert part["by_seed"] == pytest.approx([collect(run)["claims"][0]["parts"][0]["effect"] for run in runs])
    assert value["models"]["short"]["word"]["after"] == [
        collect(run)["models"]["short"]["after"]["word"]["acc"] for run in runs
    ]
    text = seeds_text(value)
    assert text == (tmp_path / "seeds.md").read_text() and "| **short_gains** |" in text and "`short`" in text


def test_only_seeds_of_one_recipe_are_compared(make_run: MakeRun) -> None:
    runs = [stating(make_run(f"{seed}/tiny", models=("short",), seed=seed), seed) for seed in (1, 2)]
    with pytest.raises(UserError, match="give each seed once"):
        over_seeds([runs[0], runs[0]])
    recipe = yaml.safe_load((runs[1] / "recipe.yaml").read_text())
    (runs[1] / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"name": "another"}))
    with pytest.raises(UserError, match="another recipe"):
        over_seeds(runs)
