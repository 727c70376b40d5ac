"""A whole run: made once, reused, continued, redone where something changed, and put back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_recipe import how, not_reused, numbers, run

from octolab.errors import UserError
from octolab.pipeline.plan import plan_of, plan_text
from octolab.pipeline.run import environment
from octolab.pipeline.status import collect_garbage, diff_of, diff_text, status_of, status_text
from octolab.report.collect import without_times
from octolab.store.atomic import read_json, write_json
from octolab.store.logs import read_log

RL = {"rl/stable", "rl/branch"}
AFTER_RL = {"eval/rl/stable", "eval/rl/branch"}
BRANCH = {"branch", "rl/branch", "eval/branch", "eval/rl/branch"}


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def log(out: Path, node: str, name: str = "metrics.jsonl") -> list[dict]:
    return [without_times(record) for record in read_log(out / "stages" / node / name)]


def rollouts(out: Path, node: str = "rl/stable") -> list[dict]:
    return log(out, node, "rollouts.jsonl.zst")


def set_seconds(out: Path, node: str, seconds: float) -> None:
    file = out / "stages" / node / "manifest.json"
    write_json(file, read_json(file) | {"seconds": seconds})


# -- made and reused ---------------------------------------------------------------------------------------


def test_a_finished_run_has_everything(finished):
    status = status_of(finished)
    assert {entry["state"] for entry in status["nodes"]} == {"finished"}
    assert (finished / "report.html").stat().st_size > 10_000
    assert set(numbers(finished)["models"]) == {"stable", "branch"}
    assert set(numbers(finished)["models"]["stable"]["after"]) == {"test", "test@few_shot"}
    assert not list(finished.rglob("*.partial"))
    for node, kind in (("stable", "train"), ("rl/branch", "rl"), ("plain", "model")):
        manifest = read_json(finished / "stages" / node / "manifest.json")
        assert (manifest["node"], manifest["kind"], manifest["status"]) == (node, kind, "finished")
        assert set(manifest["environment"]) >= {"python", "torch", "threads", "machine", "compile", "octolab"}
        checkpoint = finished / manifest["outputs"]["checkpoint"]
        assert (checkpoint / "model.safetensors").exists() and (checkpoint / "tokenizer.json").exists()


def test_the_second_run_reuses_everything_and_is_fast(copy, recipe):
    before = tree(copy / "stages")
    begun = time.perf_counter()
    assert not_reused(run(recipe, copy)) == {}
    assert time.perf_counter() - begun < 5
    after = tree(copy / "stages")
    assert {name for name in after if after[name] != before.get(name)} <= {
        f"report/{name}" for name in ("manifest.json", "started.json", "log.txt")
    }


def test_a_moved_run_directory_is_still_whole(copy, recipe):
    moved = copy.rename(copy.parent / "elsewhere")
    assert not_reused(run(recipe, moved, "stages.branch.clip=0.9")) == dict.fromkeys(BRANCH, "made")


def test_the_same_seed_gives_the_same_and_another_seed_other_numbers(finished, recipe, tmp_path):
    run(recipe, tmp_path / "same")
    assert numbers(tmp_path / "same") == numbers(finished)
    for node in ("stable", "rl/branch"):
        assert log(tmp_path / "same", node) == log(finished, node)
    run(recipe, tmp_path / "other", "seed=6")
    one, two = numbers(finished), numbers(tmp_path / "other")
    assert one["train"]["stable"]["loss"] != two["train"]["stable"]["loss"]
    assert one["corpus"]["shards/web"] == two["corpus"]["shards/web"]
    assert [one["ids"] for one in rollouts(finished)] != [one["ids"] for one in rollouts(tmp_path / "other")]


# -- redone, continued, put back ---------------------------------------------------------------------------


def test_a_changed_rate_redoes_the_stage_and_its_children_and_going_back_restores(copy, recipe):
    whole = tree(copy / "stages" / "branch")
    key = read_json(copy / "stages" / "branch" / "manifest.json")["key"]
    outcome = run(recipe, copy, "stages.branch.schedule.cosine=1e-3")
    assert not_reused(outcome) == dict.fromkeys(BRANCH, "made")
    assert tree(copy / ".superseded" / key) == whole
    assert read_json(copy / "stages" / "branch" / "manifest.json")["spec"]["schedule"]["cosine"] == 1e-3
    assert not_reused(run(recipe, copy)) == {}
    assert tree(copy / "stages" / "branch") == whole
    assert not_reused(run(recipe, copy, "stages.branch.schedule.cosine=1e-3")) == {}


def test_what_was_put_aside_comes_back_even_if_the_process_died_in_between(copy, recipe):
    key = read_json(copy / "stages" / "branch" / "manifest.json")["key"]
    (copy / ".superseded").mkdir()
    (copy / "stages" / "branch").rename(copy / ".superseded" / key)
    assert not_reused(run(recipe, copy)) == {}


def test_a_micro_batch_size_redoes_nothing(copy, recipe):
    assert not_reused(run(recipe, copy, "stages.rl.max_tokens_per_microbatch=50", "stages.eval.rows=2")) == {}


def test_more_rl_steps_continue_and_redo_the_children(copy, recipe):
    before = log(copy, "rl/branch")
    earlier = rollouts(copy, "rl/branch")
    outcome = run(recipe, copy, "stages.rl.steps=5")
    assert not_reused(outcome) == dict.fromkeys(RL, "continued") | dict.fromkeys(AFTER_RL, "made")
    after = log(copy, "rl/branch")
    assert [entry["step"] for entry in after] == [1, 2, 3, 4, 5]
    assert after[:3] == before
    assert rollouts(copy, "rl/branch")[: len(earlier)] == earlier
    assert not (copy / ".superseded" / read_json(copy / "stages/rl/branch/manifest.json")["key"]).exists()


def test_continued_stages_equal_longer_ones(copy, recipe, tmp_path):
    longer = ["stages.rl.steps=4", "stages.stable.steps=7"]
    outcome = run(recipe, copy, *longer)
    assert outcome.nodes["stable"][0] == "continued" and outcome.nodes["rl/stable"][0] == "made"
    run(recipe, tmp_path / "fresh", *longer)
    assert log(copy, "stable") == log(tmp_path / "fresh", "stable")
    assert numbers(copy) == numbers(tmp_path / "fresh")
    outcome = run(recipe, copy, *longer, "stages.rl.steps=6")
    run(recipe, tmp_path / "fresh", *longer, "stages.rl.steps=6", redo=["rl"])
    assert outcome.nodes["rl/stable"][0] == "continued"
    assert numbers(copy) == numbers(tmp_path / "fresh")


def test_fewer_steps_redo(copy, recipe):
    outcome = run(recipe, copy, "stages.rl.steps=2")
    assert not_reused(outcome) == dict.fromkeys(RL | AFTER_RL, "made")
    assert len(log(copy, "rl/stable")) == 2


def test_only(recipe, tmp_path, copy):
    outcome = run(recipe, tmp_path / "new", only="branch")
    assert set(outcome.nodes) == {"curate", "tokenizer", "plain", "shards/web", "shards/short", "stable", "branch"}
    states = {entry["node"]: entry["state"] for entry in status_of(tmp_path / "new")["nodes"]}
    assert (states["branch"], states["rl/branch"], states["report"]) == ("finished", "waiting", "waiting")
    absent = "data.test.path=/nowhere.jsonl"  # nothing that is wanted reads it
    run(recipe, tmp_path / "new", absent, "stages.curate.steps=[extract]", only="rl/branch")
    rl = run(recipe, copy, "stages.rl.learning_rate=0.01", only="rl/branch")
    assert not_reused(rl) == {"rl/branch": "made"} and "rl/stable" not in rl.nodes
    with pytest.raises(UserError, match=r"--only brnch: there is no such stage; did you mean `branch`"):
        run(recipe, copy, only="brnch")


def test_redo(copy, recipe):
    before = log(copy, "rl/branch")
    outcome = run(recipe, copy, redo=["rl"])
    assert not_reused(outcome) == dict.fromkeys(RL, "made"), "same key, same bits: the children stand"
    assert log(copy, "rl/branch") == before
    with pytest.raises(UserError, match=r"--redo rll: there is no such stage"):
        run(recipe, copy, redo=["rll"])


def test_ten_minutes_of_work_are_kept_unless_the_user_says_so(copy, recipe):
    set_seconds(copy, "branch", 700)
    set_seconds(copy, "rl/branch", 7200)
    whole = tree(copy)
    change = "stages.branch.schedule.cosine=1e-3"
    with pytest.raises(UserError) as error:
        run(recipe, copy, change)
    text = str(error.value)
    assert "branch (12 minutes), rl/branch (120 minutes)" in text and "--redo branch --redo rl/branch" in text
    assert "--out" in text and tree(copy) == whole
    with pytest.raises(UserError, match=r"rl/branch \(120 minutes\)"):
        run(recipe, copy, change, redo=["branch"])
    assert not_reused(run(recipe, copy, change, redo=["branch", "rl/branch"])) == dict.fromkeys(BRANCH, "made")
    set_seconds(copy, "branch", 700)
    with pytest.raises(UserError, match="--redo branch,"):
        run(recipe, copy)
    assert not_reused(run(recipe, copy, redo=["branch"])) == {}, "put back, not made anew"


def test_seconds_of_a_continued_stage_add_up(copy, recipe):
    set_seconds(copy, "rl/branch", 500)
    run(recipe, copy, "stages.rl.steps=4")
    assert 500 < read_json(copy / "stages/rl/branch/manifest.json")["seconds"] < 560


def test_one_parent_instead_of_several_does_not_swallow_them(copy, recipe):
    set_seconds(copy, "rl/branch", 700)
    one = ["stages.rl.from=branch", "stages.eval.of=['rl/*']"]
    with pytest.raises(UserError, match=r"rl \(12 minutes\).*--redo rl"):
        run(recipe, copy, *one)
    outcome = run(recipe, copy, *one, redo=["rl"])
    assert how(outcome)["rl"] == "made"
    run(recipe, copy)
    assert set(numbers(copy)["rl"]) == {"stable", "branch"}


# -- two processes, another machine ------------------------------------------------------------------------


def test_a_second_process_is_refused_and_told_which_is_the_first(copy, recipe):
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom octolab.store.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(copy)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        whole = tree(copy / "stages")
        for act in (lambda: run(recipe, copy, "seed=9"), lambda: collect_garbage(copy, False)):
            with pytest.raises(UserError, match=rf"in use by process {holder.pid}.*--out"):
                act()
        assert tree(copy / "stages") == whole
        assert status_of(copy)["nodes"], "looking is allowed"
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_going_on_under_another_environment_is_announced(copy, recipe):
    folder = copy / "stages" / "rl" / "stable"
    (folder / "manifest.json").unlink()
    write_json(folder / "environment.json", read_json(folder / "environment.json") | {"threads": 64})
    assert not_reused(run(recipe, copy))["rl/stable"] == "resumed"
    assert "threads was 64 and is now" in (folder / "log.txt").read_text()


def test_environment_names_what_bits_depend_on(tiny):
    from octolab.pipeline.graph import Graph

    nodes = Graph(tiny("stages.stable.compile=true")).nodes
    assert environment(nodes["stable"])["compile"] is True and environment(nodes["rl/stable"])["compile"] is False


# -- looking -----------------------------------------------------------------------------------------------


def test_gc_removes_what_nothing_refers_to(copy, recipe):
    run(recipe, copy, "stages.branch.schedule.cosine=1e-3", "stages.rl.from=[branch]", "stages.eval.of=[branch]")
    whole = tree(copy)
    listed = collect_garbage(copy, dry_run=True)
    assert tree(copy) == whole
    gone = {str(Path(entry["path"]).relative_to(copy)) for entry in listed}
    assert {"stages/rl/stable", "stages/eval/stable", "stages/eval/rl/stable", "stages/eval/rl/branch"} <= gone
    assert sum(path.startswith(".superseded/") for path in gone) == 4  # branch, rl/branch, eval/branch, report
    assert all(entry["bytes"] > 0 for entry in listed)
    assert collect_garbage(copy, dry_run=False) == listed
    assert not any((copy / path).exists() for path in gone)
    assert collect_garbage(copy, dry_run=False) == []
    again = ["stages.branch.schedule.cosine=1e-3", "stages.rl.from=[branch]", "stages.eval.of=[branch]"]
    assert not_reused(run(recipe, copy, *again)) == {}


def test_gc_spares_wanted_nodes_inside_an_old_one(recipe, tmp_path):
    out = tmp_path / "run"
    run(recipe, out, "stages.rl.from=branch", "stages.eval.of=['rl/*']")
    run(recipe, out)
    listed = [str(Path(entry["path"]).relative_to(out)) for entry in collect_garbage(out, dry_run=False)]
    assert "stages/rl/manifest.json" in listed and "stages/rl/checkpoints" in listed
    assert not_reused(run(recipe, out)) == {}


def test_diff(finished, recipe, tmp_path):
    run(recipe, tmp_path / "other", "stages.rl.learning_rate=0.01", "stages.rl.temperature=0.7", only="rl")
    value = diff_of(finished, tmp_path / "other")
    assert value["settings"] == {"stages.rl.learning_rate": [1e-3, 0.01], "stages.rl.temperature": [1.0, 0.7]}
    same = diff_of(finished, finished)
    assert same["settings"] == {} and "stable before test" in same["results"]
    assert "the same" in diff_text(same) and "stages.rl.learning_rate: 0.001 | 0.01" in diff_text(value)
    with pytest.raises(UserError, match="not a run directory"):
        diff_of(finished, tmp_path)


def test_status_of_a_run_that_was_cut_off(copy):
    (copy / "stages" / "rl" / "branch" / "manifest.json").unlink()
    status = status_of(copy)
    states = {entry["node"]: entry["state"] for entry in status["nodes"]}
    assert states["rl/branch"] == "unfinished" and states["rl/stable"] == "finished"
    assert "13 of 14 finished" in status_text(status)
    json.dumps(status)


def test_status_and_gc_of_a_torn_recipe_are_refused(copy):
    (copy / "recipe.yaml").write_text("name: [")
    for act in (lambda: status_of(copy), lambda: collect_garbage(copy, True), lambda: diff_of(copy, copy)):
        with pytest.raises(UserError, match=r"recipe\.yaml is not YAML"):
            act()


def test_plan_says_what_would_be_done_and_does_nothing(copy, tiny, tmp_path):
    whole = tree(copy)
    plan = plan_of(tiny("stages.branch.schedule.cosine=1e-3", "stages.rl.steps=5"), copy)
    states = {entry["node"]: entry["state"] for entry in plan["nodes"]}
    assert states["stable"] == "finished" and states["branch"] == "changed"
    assert states["rl/stable"] == "extendable" and states["rl/branch"] == "changed"
    stable = next(entry for entry in plan["nodes"] if entry["node"] == "stable")
    assert (stable["tokens"], stable["tokens_by_source"]) == (5 * 4 * 48, {"web": 480, "short": 480})
    rl = next(entry for entry in plan["nodes"] if entry["node"] == "rl/stable")
    assert (rl["completions_per_step"], rl["tokens_at_most"]) == (8, 5 * 8 * 10)
    json.dumps(plan)
    assert "rl/branch" in plan_text(plan) and tree(copy) == whole
    assert {entry["state"] for entry in plan_of(tiny(), tmp_path / "new")["nodes"]} == {"new"}
    assert not (tmp_path / "new").exists()
