"""The summary: right numbers under right names, honest about what is absent, loud about what is torn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from octolab.errors import UserError
from octolab.report import collect
from octolab.report.collect import is_time
from octolab.report.health import ends, signs, smoothed
from octolab.report.read import read_run
from octolab.report.rollouts import MAX_CHARACTERS, SHOWN, chosen, first_and_last, frames, read_frame
from octolab.report.schema import schema, validate
from octolab.store.logs import ZstdJsonLines, read_log

MakeRun = Callable[..., Path]


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_summary_satisfies_the_schema_and_survives_json(small_run: Path) -> None:
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(schema())
    summary = collect(small_run)
    validate(summary)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    with pytest.raises(jsonschema.ValidationError):
        validate(summary | {"claims": [{"id": "made up"}]})


def test_scores_stand_under_the_rl_parent(small_run: Path) -> None:
    models = collect(small_run)["models"]
    assert list(models) == ["plain", "short"]
    for name, model in models.items():
        for when, node in (("before", name), ("after", f"rl/{name}")):
            scores = json.loads((small_run / "stages" / "eval" / node / "scores.json").read_text())
            for set_, score in scores["sets"].items():
                told = model[when][set_]
                assert {k: told[k] for k in ("acc", "ci95", "n", "samples", "pass_at")} == {
                    k: score[k] for k in ("acc", "ci95", "n", "samples", "pass_at")
                }
            assert model[f"{when}_bits_per_byte"] == scores["bits_per_byte"]
    assert set(models["plain"]["before"]) == {"word", "search", "word@few_shot"}


def test_stages_are_counted(small_run: Path) -> None:
    summary = collect(small_run)
    assert list(summary["train"]) == ["stable", "short"]
    assert summary["train"]["stable"]["tokens"] == 2_000_000
    assert summary["train"]["short"]["parent"] == "stable"
    assert summary["rl"]["short"]["parent"] == "short"
    assert summary["rl"]["short"]["settings"]["algorithm"] == "modern"
    pages = summary["corpus"]["pages"]
    assert pages["steps"][1]["dropped"] == {"exact duplicate": 130, "boilerplate": 220}
    assert "examples" not in pages["steps"][1]
    assert summary["provenance"]["torch"] == "2.13.0+cpu"
    assert summary["provenance"]["stages"]["rl/short"]["kind"] == "rl"


def test_same_seed_same_summary_but_for_times(make_run: MakeRun) -> None:
    one, two = make_run("a/run"), make_run("b/run")
    for folder in (two / "stages").rglob("manifest.json"):
        edit_json(folder, seconds=99.0, finished_at="2031-05-05T00:00:00+00:00")
    for log in [*(two / "stages").rglob("metrics.jsonl")]:
        rows = [{k: (v * 3 if is_time(k) else v) for k, v in row.items()} for row in read_log(log)]
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = collect(one), collect(two)
    assert first["times"] != second["times"]
    assert {k: v for k, v in first.items() if k != "times"} == {k: v for k, v in second.items() if k != "times"}
    other = collect(make_run("c/run", seed=1))
    assert other["models"] != first["models"]


@pytest.mark.parametrize("name", ["seconds", "seconds/train", "tokens_per_s", "tokens_per_s/generate", "finished_at"])
def test_times_are_known_by_name(name: str) -> None:
    assert is_time(name)


@pytest.mark.parametrize(
    "name", ["steps", "pass_at", "timeouts", "verdict/timeout", "loss", "at_cap", "samples_per_prompt"]
)
def test_other_numbers_are_not_times(name: str) -> None:
    assert not is_time(name)


def test_the_report_stage_itself_is_left_out(make_run: MakeRun) -> None:
    run = make_run()
    before = collect(run)
    folder = run / "stages" / "report"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"node": "report", "kind": "report", "status": "finished"}))
    assert collect(run) == before


def test_a_run_without_rl(make_run: MakeRun) -> None:
    summary = collect(make_run(rl=False))
    validate(summary)
    assert summary["rl"] == {} and summary["claims"] == []
    assert summary["models"]["short"]["after"] is None
    assert summary["answer"][0].startswith("No RL ran in this run.")


def test_a_run_without_corpus_and_evaluation(make_run: MakeRun) -> None:
    run = make_run(corpus=False)
    for manifest in (run / "stages" / "eval").rglob("manifest.json"):
        manifest.unlink()
    summary = collect(run)
    validate(summary)
    assert summary["corpus"] == {}
    assert summary["models"]["plain"] == {
        "node": "plain",
        "rl": "rl/plain",
        "before": {},
        "after": None,
        "before_bits_per_byte": {},
        "after_bits_per_byte": None,
    }
    assert summary["answer"] == ["No model of this run has been evaluated zero-shot yet; 2 training stages finished."]


def test_unfinished_stages_are_not_read(make_run: MakeRun) -> None:
    run = make_run()
    folder = run / "stages" / "rl" / "short"
    edit_json(folder / "manifest.json", status="running")
    (folder / "metrics.jsonl").write_text('{"step": 1, "accu')
    summary = collect(run)
    assert list(summary["rl"]) == ["plain"]
    assert summary["models"]["short"]["after"] is None


def test_artefact_manifests_and_superseded_stages_are_no_stages(make_run: MakeRun) -> None:
    run = make_run()
    before = collect(run)
    for inside in ("short/checkpoints", ".superseded/abc/short"):
        folder = run / "stages" / inside
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"node": "short", "status": "finished", "kind": "train"}')
    assert collect(run) == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("stages/short/manifest.json", '{"node": "short", "sta'),
        ("stages/short/metrics.jsonl", '{"step": 1, "loss": 2.0}\n{"step": 2, "lo'),
        ("stages/eval/short/scores.json", "{"),
        ("stages/eval/short/scores.json", "[]"),
        ("stages/eval/short/samples.jsonl", '{"set": "word"'),
        ("stages/rl/short/rollouts.jsonl.zst", "not zstd at all, but long enough"),
        ("recipe.yaml", "models: [unclosed"),
        ("recipe.yaml", "just words"),
    ],
)
def test_torn_files_are_named(make_run: MakeRun, file: str, content: str) -> None:
    run = make_run()
    (run / file).write_text(content)
    with pytest.raises(UserError, match=Path(file).name):
        collect(run)


@pytest.mark.parametrize("file", ["short/metrics.jsonl", "eval/short/scores.json", "rl/short/rollouts.jsonl.zst"])
def test_absent_files_of_finished_stages_are_named(make_run: MakeRun, file: str) -> None:
    run = make_run()
    (run / "stages" / file).unlink()
    with pytest.raises(UserError, match=f"{Path(file).name} does not exist"):
        collect(run)


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished stage"):
        collect(tmp_path)


def test_null_and_nan_become_null(make_run: MakeRun) -> None:
    run = make_run()
    path = run / "stages" / "eval" / "plain" / "scores.json"
    scores = json.loads(path.read_text())
    scores["sets"]["word"] |= {"length_correct": float("nan"), "ci95": None}
    path.write_text(json.dumps(scores))
    summary = collect(run)
    validate(summary)
    assert summary["models"]["plain"]["before"]["word"]["length_correct"] is None


def test_two_rl_stages_on_one_parent_have_names_of_their_own(make_run: MakeRun) -> None:
    run = make_run(models=("plain",))
    stages = run / "stages"
    for seed in (0, 1):
        for old, new in (("rl/plain", f"rl/plain@seed={seed}"), ("eval/rl/plain", f"eval/rl/plain@seed={seed}")):
            (stages / new).mkdir(parents=True)
            for file in (stages / old).iterdir():
                (stages / new / file.name).write_bytes(file.read_bytes())
            edit_json(stages / new / "manifest.json", node=new)
        edit_json(stages / f"eval/rl/plain@seed={seed}" / "scores.json", model=f"rl/plain@seed={seed}")
    for old in ("rl/plain", "eval/rl/plain"):
        (stages / old / "manifest.json").unlink()
    summary = collect(run)
    assert list(summary["models"]) == ["plain@seed=0", "plain@seed=1"]
    assert all(model["node"] == "plain" and model["after"] for model in summary["models"].values())


def test_the_baseline_is_the_first_rl_parent_of_the_recipe(make_run: MakeRun) -> None:
    run = make_run(models=("short", "plain"))
    ids = [c["id"] for c in collect(run)["claims"] if c["id"].startswith("gains_more")]
    assert ids == ["gains_more/plain/word", "gains_more/plain/search"]


# health


def test_smoothing_leaves_gaps_and_first_value() -> None:
    assert smoothed([None, 1.0, None, 0.0]) == [None, 1.0, None, 0.5]


def test_signs_read_the_failure_modes() -> None:
    curve = [0.2, 0.4, 0.6, 0.6, 0.6, 0.5, 0.3, 0.1, 0.0, 0.0]
    rows = [
        {"accuracy": a, "truncated": i / 10, "length/all": 10.0 * (i + 1), "groups/mixed": 0.25}
        for i, a in enumerate(curve)
    ]
    early = {"text": "\\boxed{3}" + " so again" * 20}
    told = signs(rows, [early, {"text": "so " * 30 + "\\boxed{3}"}, {"text": "\\boxed{3}"}, {"text": ""}])
    assert told["collapse"] is not None and told["collapse"] > 0.8
    assert told["at_cap"] == pytest.approx(0.7)
    assert told["longer"] == pytest.approx(80 / 30)
    assert told["no_gradient"] == pytest.approx(0.75)
    assert told["early_box"] == 0.25  # a bare box is an answer, not a premature one
    assert told["repetition"] is None
    assert signs([{"accuracy": 0.04}, {"accuracy": 0.0}], [])["collapse"] is None
    assert ends([{"x": 1.0}, {"x": None}, {"x": 3.0}], "x") == (2.0, 2.0)


# rollouts


@pytest.mark.parametrize("checksum", [False, True])
def test_frames_are_found_without_decompression(tmp_path: Path, checksum: bool) -> None:
    import random

    noise = random.Random(0)
    bodies = [b"", b"a" * 400_000, noise.randbytes(300_000), b'{"step": 1}\n' * 9, b"b"]
    packer = zstandard.ZstdCompressor(write_checksum=checksum)
    packed = [packer.compress(body) for body in bodies]
    path = tmp_path / "x.zst"
    path.write_bytes(b"".join(packed))
    found = frames(path)
    assert [size for _, size in found] == [len(p) for p in packed]
    assert read_frame(path, found[3]) == [{"step": 1}] * 9
    path.write_bytes(b"".join(packed)[:-1])
    with pytest.raises(UserError, match="torn"):
        frames(path)


def test_first_and_last_step_are_those_of_the_log(small_run: Path) -> None:
    run = read_run(small_run)
    whole = list(read_log(small_run / "stages" / "rl" / "short" / "rollouts.jsonl.zst"))
    first, last = first_and_last(run)["short"]
    assert first == [r for r in whole if r["step"] == 1]
    assert last == [r for r in whole if r["step"] == 6]


def test_rollouts_are_chosen_by_the_stated_rule(small_run: Path) -> None:
    run = read_run(small_run)
    pairs = chosen(run, first_and_last(run))
    assert {p["model"] for p in pairs} == {"plain", "short"}
    assert {p["when"] for p in pairs} == {"step 1", "step 6", "evaluation"}
    assert sum(len(p["sides"]) for p in pairs) <= SHOWN
    mixed = [p for p in pairs if p["heap"] in ("most right", "fewest right")]
    assert mixed and all([s["verdict"] for s in p["sides"]] == ["correct", "wrong"] for p in mixed)
    solved = [p for p in pairs if p["heap"] == "solved by RL"]
    assert solved and all([s["verdict"] for s in p["sides"]] == ["wrong", "correct"] for p in solved)
    assert not any("few_shot" in (p["set"] or "") for p in pairs)


def test_no_more_than_the_limit_and_no_endless_text(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(models=("plain",), rl_steps=1)
    path = run / "stages" / "rl" / "plain" / "rollouts.jsonl.zst"
    records = [r | {"text": "x" * 50_000, "span": None} for r in read_log(path)]
    path.unlink()
    log = ZstdJsonLines(path)
    log.append(records)
    log.close()
    monkeypatch.setattr("octolab.report.rollouts.SHOWN", 9)
    read = read_run(run)
    pairs = chosen(read, first_and_last(read))
    assert sum(len(p["sides"]) for p in pairs) == 8
    text = pairs[0]["sides"][0]["text"]
    assert len(text) < MAX_CHARACTERS + 100 and "46,000 characters not shown" in text
