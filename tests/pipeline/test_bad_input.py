"""What a user can get wrong: exit code 2, one sentence with file, field and remedy, nothing lost, nothing that
looks whole and is not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_recipe import Said, command, not_reused, numbers, run, sums, write_lines

from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import save_checkpoint
from octolab.pipeline.status import status_of
from octolab.recipe.load import load_recipe
from octolab.store.atomic import read_json
from octolab.tokens.tokenizer import Tokenizer

Refused = Callable[..., str]


@pytest.fixture
def refused(octolab: Callable[..., Said]) -> Refused:
    """`refused("run", ...)`: run the command line, which must refuse; the sentence it says."""

    def act(*words: str | Path) -> str:
        done = octolab(*words)
        lines = done.said.splitlines()
        assert done.code == 2, done.said
        assert done.printed == "" and lines[-1].startswith("octolab: ") and "Traceback" not in done.said
        assert sum(line.startswith("octolab: ") for line in lines) == 1
        return lines[-1]

    return act


def sets(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--set", text)]


def states(out: Path) -> dict[str, str]:
    return {entry["node"]: entry["state"] for entry in status_of(out)["nodes"]}


def contains(text: str, *words: str) -> None:
    for word in words:
        assert word in text, text


# -- the recipe --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("stages.rl.learning_rte=1", ["tiny.yaml", "stages.rl.learning_rte", "did you mean `learning_rate`"]),
        ("stages.stable.steps=many", ["tiny.yaml", "stages.stable.steps", "'many'", "integer"]),
        ("stages.stable.sequence_length=1", ["stages.stable.sequence_length is 1", "greater than 1"]),
        ("stages.stable.from=nothing", ["stages.stable.from", "'nothing'", "neither a model nor a stage"]),
        ("stages.stable.from=branch", ["circle", "stable -> branch -> stable", "change one `from`"]),
        ("stages.stable.mixture={web: 0.5, short: 0.4}", ["stages.stable.mixture", "sum to 0.9", "scale them"]),
        ("stages.stable.mixture={web: 1.5, short: -0.5}", ["stages.stable.mixture", "short is -0.5", "above 0"]),
        ("stages.eval.samples=2.5", ["stages.eval.samples", "2.5"]),
        ("stages.eval.temperature=0", ["stages.eval", "samples=2 at temperature 0", "above 0"]),
        ("stages.eval.benchmarks=[test, test]", ["stages.eval.benchmarks", "test is named twice"]),
        ("stages.rl.steps", ["--set 'stages.rl.steps'", "stages.rl.steps=20"]),
        ("stages.lr.steps=3", ["--set stages.lr.steps", "no stages.lr", "did you mean `rl`"]),
        ("stages.rl.steps.more=3", ["--set stages.rl.steps.more", "stages.rl.steps is a value"]),
        ("stages.rl.steps=[1", ["--set stages.rl.steps", "not YAML"]),
        ("sources.short={path: a, hub: b}", ["sources.short", "exactly one", "`hub`, `path`"]),
        ("models.plain.init.heads=3", ["width=32", "heads=3"]),
        ("data.prompts.path=/nowhere.jsonl", ["data.prompts.path", "/nowhere.jsonl", "mend the path"]),
        ("data.test.path=/nowhere.jsonl", ["data.test.path", "/nowhere.jsonl", "mend the path"]),
        ("sources.pages.path=/nowhere", ["sources.pages.path", "/nowhere", "mend the path"]),
        ("stages.rl.reward=no_such_module:f", ["no_such_module:f", "PYTHONPATH"]),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_run_leaves_nothing(refused, recipe, tmp_path, change, words):
    out = tmp_path / "run"
    contains(refused("run", recipe, "--out", out, *sets(change)), *words)
    left = {path.name for path in out.rglob("manifest.json")} if out.exists() else set()
    assert not left or change.startswith("models."), "only what a model needs was made"


def test_no_recipe(refused, tmp_path):
    contains(refused("run", "smok"), "'smok'", "did you mean `smoke`")
    contains(refused("run", tmp_path / "none.yaml"), "none.yaml does not exist", "check the path")
    contains(refused("status", tmp_path), "not a run directory")


def test_unknown_stages_and_nodes_on_the_command_line(refused, recipe, copy):
    contains(refused("run", recipe, "--out", copy, "--only", "rll"), "--only rll", "did you mean `rl`")
    contains(refused("run", recipe, "--out", copy, "--redo", "stabel"), "--redo stabel", "did you mean `stable`")


# -- data --------------------------------------------------------------------------------------------------


def test_an_empty_file_is_named_and_the_run_goes_on_when_it_is_filled(refused, tiny_recipe, tmp_path):
    short, out = tiny_recipe.parent / "short.jsonl", tmp_path / "run"
    whole = short.read_text()
    short.write_text("")
    contains(refused("run", tiny_recipe, "--out", out), str(short), "holds no rows", "1 empty file")
    assert states(out)["tokenizer"] == "unfinished" and states(out)["curate"] == "finished"
    short.write_text(whole)
    assert run(tiny_recipe, out).nodes["curate"][0] == "reused"


def test_damaged_lines_are_counted_and_named_and_passed_over(tiny_recipe, tmp_path):
    short, out = tiny_recipe.parent / "short.jsonl", tmp_path / "run"
    lines = short.read_bytes().splitlines(keepends=True)
    lines[2:2] = [b'{"question": "torn\n', b"[1]\n", b'\xff\xfe{"question": 1}\n', b'{"question": "What?"}\n']
    short.write_bytes(b"".join(lines))
    run(tiny_recipe, out, only="shards/short")
    log = (out / "stages" / "shards" / "short" / "log.txt").read_text()
    contains(log, f"1 passed over: not valid JSON (first: {short}:3)", f"not a JSON object (first: {short}:4)",
             f"not valid UTF-8 (first: {short}:5)", "missing field 'solution' (first: short-2)")  # fmt: skip
    summary = read_json(out / "stages" / "shards" / "short" / "manifest.json")["summary"]
    assert sum(summary["bad"].values()) == 4
    assert summary["documents"] + summary["heldout_documents"] == 60


def test_damaged_problems_are_counted_and_named(tiny_recipe, tmp_path):
    prompts, out = tiny_recipe.parent / "prompts.jsonl", tmp_path / "run"
    prompts.write_text(prompts.read_text() + '{"question": "no answer"}\nnot json\n')
    run(tiny_recipe, out, only="rl/stable")
    log = (out / "stages" / "rl" / "stable" / "log.txt").read_text()
    contains(log, "prompts prompts: 1 passed over: not valid JSON", f"{prompts}:8", "field 'answer'", "prompts-6")


def test_prompts_whose_gold_no_answer_can_match_are_named_and_left_out(tiny_recipe, tmp_path, refused):
    prompts, out = tiny_recipe.parent / "prompts.jsonl", tmp_path / "run"
    whole = prompts.read_text()
    prompts.write_text(whole + '{"question": "broken?", "answer": "{1"}\n')
    ours = "stages.rl.reward=null"
    run(tiny_recipe, out, ours, only="rl/stable")
    log = (out / "stages" / "rl" / "stable" / "log.txt").read_text()
    contains(log, "prompts prompts: 1 passed over: its gold does not verify against itself", "prompts-6: '{1'")
    prompts.write_text('{"question": "broken?", "answer": "{1"}\n')
    contains(
        refused("run", tiny_recipe, "--out", tmp_path / "other", "--only", "rl/stable", *sets(ours)), "no gold verifies"
    )


@pytest.mark.parametrize("torn", ["whole", "half", "no parquet at all"])
def test_a_torn_parquet(refused, tiny_recipe, tmp_path, torn):
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, out = tmp_path / "short.parquet", tmp_path / "run"
    pq.write_table(pa.Table.from_pylist(sums(0, 60, "s")), file, row_group_size=20)
    change = f"sources.short.path={file}"
    if torn == "whole":
        run(tiny_recipe, out, change, only="shards/short")
        assert read_json(out / "stages/shards/short/manifest.json")["summary"]["bad"] == {}
        return
    file.write_bytes(file.read_bytes()[:600] if torn == "half" else b"PAR1 or not")
    text = refused("run", tiny_recipe, "--out", out, *sets(change))
    contains(text, str(file), "holds no rows", "1 damaged row(s) or file(s)")
    assert states(out)["tokenizer"] == "unfinished"


def test_problem_files_without_answers(refused, tiny_recipe, tmp_path):
    write_lines(tiny_recipe.parent / "test.jsonl", [{"question": "What is 1 + 1?"}] * 3)
    text = refused("run", tiny_recipe, "--out", tmp_path / "run", *sets("stages.curate.steps=[extract]"))
    contains(text, "eval/stable", "'test'", "no usable problem in 3 rows", "missing field 'answer'", "give rows")


def test_a_prompt_beyond_the_context(refused, copy, recipe, world, tmp_path):
    long = sums(0, 1, "long")[0] | {"question": "What is 1 + 1? " * 80}
    write_lines(tmp_path / "long.jsonl", [*sums(100, 3, "p"), long])
    path = tmp_path / "long.jsonl"
    text = refused("run", recipe, "--out", copy, *sets(f"data.prompts.path={path}"))
    contains(text, "stage rl/stable", "prompts prompts", "problem long0", "context of 192", "lower max_tokens")
    text = refused("run", recipe, "--out", copy, *sets(f"data.test.path={path}", "stages.curate.steps=[extract]"))
    contains(text, "stage eval/stable", "set test", "problem long0", "context is 192", "raise positions")
    text = refused("run", recipe, "--out", copy, *sets(f"data.shown.path={path}", "stages.eval.few_shot.shots=4"))
    contains(text, "stage eval/stable", "set test@few_shot", "lower few_shot.shots")
    assert not_reused(run(recipe, copy)) == {}, "all that was there is there again"


def test_more_shots_than_exemplars(refused, copy, recipe):
    text = refused("run", recipe, "--out", copy, *sets("stages.eval.few_shot.shots=9"))
    contains(text, "stage eval/stable", "shots=9", "between 0 and 2")


def test_a_source_smaller_than_its_budget(refused, copy, recipe):
    text = refused("run", recipe, "--out", copy, *sets("stages.branch.max_epochs=0.1"))
    contains(text, "stage branch", "source 'short' is smaller than its budget", "raise max_epochs to")


# -- files of a run that were damaged ----------------------------------------------------------------------


def test_torn_shards_of_a_finished_stage(refused, copy, recipe):
    file = copy / "stages" / "shards" / "short" / "shards" / "tokens.bin"
    file.write_bytes(file.read_bytes()[:-7])
    change = sets("stages.branch.clip=0.9")
    text = refused("run", recipe, "--out", copy, *change)
    contains(text, "stage branch", f"{file} is torn", "--redo shards/short")
    assert states(copy)["branch"] == "unfinished"
    outcome = run(recipe, copy, "stages.branch.clip=0.9", redo=["shards/short"])
    assert (outcome.nodes["shards/short"][0], outcome.nodes["branch"][0]) == ("made", "resumed")


def test_a_token_id_out_of_range(refused, copy, recipe):
    folder = copy / "stages" / "shards" / "short" / "shards"
    ids = np.fromfile(folder / "tokens.bin", dtype="<u2")
    ids[::40] = 60_000
    ids.tofile(folder / "tokens.bin")
    text = refused("run", recipe, "--out", copy, *sets("stages.branch.clip=0.9"))
    contains(text, "stage branch", str(folder), "token id 60000 is out of range", "remove the shards and run again")
    shutil.rmtree(folder)  # what the sentence says is what helps
    outcome = run(recipe, copy, "stages.branch.clip=0.9")
    assert (outcome.nodes["shards/short"][0], outcome.nodes["branch"][0]) == ("resumed", "resumed")


@pytest.mark.parametrize(
    ("node", "name"),
    [("stable", "metrics.jsonl"), ("rl/branch", "metrics.jsonl"), ("rl/stable", "rollouts.jsonl.zst"),
     ("eval/stable", "samples.jsonl"), ("eval/rl/branch", "scores.json")],
)  # fmt: skip
def test_torn_logs_of_finished_stages_when_the_report_is_made(refused, copy, recipe, node, name):
    file = copy / "stages" / node / name
    file.write_bytes(file.read_bytes()[:-9])
    summary = (copy / "summary.json").read_bytes()
    contains(refused("report", copy), str(file), "torn")
    text = refused("run", recipe, "--out", copy)
    contains(text, "stage report", str(file), "torn")
    assert (copy / "summary.json").read_bytes() == summary and states(copy)["report"] == "unfinished"
    outcome = run(recipe, copy, redo=[node])
    assert outcome.nodes[node][0] == "made" and (copy / "summary.json").exists()
    assert states(copy)["report"] == "finished"


def test_a_log_shorter_than_its_checkpoint(refused, copy, recipe):
    folder = copy / "stages" / "rl" / "branch"
    (folder / "manifest.json").unlink()
    (folder / "metrics.jsonl").write_bytes(b"")
    text = refused("run", recipe, "--out", copy)
    contains(text, "stage rl/branch", str(folder / "metrics.jsonl"), "has 0 bytes", "--redo")
    assert run(recipe, copy, redo=["rl/branch"]).nodes["rl/branch"][0] == "made"


def test_a_torn_manifest(refused, copy, recipe):
    file = copy / "stages" / "branch" / "manifest.json"
    file.write_text(file.read_text()[:50])
    contains(refused("run", recipe, "--out", copy), str(file), "torn", "remove it and run again")
    file.unlink()
    assert not_reused(run(recipe, copy)) == {"branch": "resumed"}


def test_torn_weights_of_a_finished_stage(refused, copy, recipe):
    file = next((copy / "stages" / "branch" / "checkpoints").glob("*/model.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    text = refused("run", recipe, "--out", copy, *sets("stages.rl.learning_rate=0.01"))
    contains(text, "stage rl/branch", str(file), "torn")
    assert run(recipe, copy, "stages.rl.learning_rate=0.01", redo=["branch"]).nodes["rl/branch"][0] == "resumed"


# -- models ------------------------------------------------------------------------------------------------


def small_model(folder: Path, vocab_size: int, tokenizer: Path) -> Path:
    config = DecoderConfig.of_family(
        "llama", vocab_size=vocab_size, width=16, layers=1, heads=2, kv_heads=2, ffn=16, positions=192, tied=True,
        rope_theta=10000.0,
    )  # fmt: skip
    save_checkpoint(Decoder(config).reset(0), folder, eos_ids=[0])
    Tokenizer.load(tokenizer).save(folder)
    return folder


def test_a_tokenizer_that_does_not_fit_the_checkpoint(refused, finished, recipe, world, tmp_path):
    model = small_model(tmp_path / "model", 280, finished / "stages" / "tokenizer" / "tokenizer")
    out = tmp_path / "run"
    text = refused("rl", model, "--prompts", world / "prompts.jsonl", "--steps", "1", "--out", out)
    contains(text, "models.base", "300 entries", "only 280", "give the tokenizer")
    assert not list(out.rglob("manifest.json"))
    change = [f"models.plain={{path: {model}, tokenizer: tokenizer}}"]
    contains(refused("run", recipe, "--out", out, *sets(*change)), "models.plain", "300 entries", "only 280")


def test_checkpoints_that_are_none(refused, world, finished, tmp_path):
    words = ["--prompts", world / "prompts.jsonl", "--steps", "1", "--out", tmp_path / "run"]
    contains(refused("rl", tmp_path / "nowhere", *words), "nowhere", "neither a folder nor a hub id")
    contains(refused("rl", world, *words), "holds no checkpoint")
    model = small_model(tmp_path / "model", 300, finished / "stages" / "tokenizer" / "tokenizer")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["GPT2LMHeadModel"]}))
    contains(refused("rl", model, *words), "config.json", "GPT2LMHeadModel is not supported", "LlamaForCausalLM")
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    contains(refused("rl", model, *words), str(model), "model.layers.1", "missing")
    (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer.json").unlink()
    contains(refused("rl", model, *words), "no tokenizer.json")


def test_a_loss_that_is_no_number(refused, copy, recipe):
    change = sets("stages.branch={steps: 12, schedule: {constant: 1e30}, kind: train, from: stable, "
                  "sequences_per_step: 4, sequence_length: 48, mixture: {short: 1.0}, max_epochs: 50}")  # fmt: skip
    text = refused("run", recipe, "--out", copy, *change)
    contains(text, "stage branch", "NaN or infinite 5 steps in a row", "lower the learning rate")
    assert states(copy)["branch"] == "unfinished" and states(copy)["stable"] == "finished"
    assert not_reused(run(recipe, copy)) == {}


def test_an_rl_step_that_breaks_the_policy(refused, copy, recipe):
    change = sets("stages.rl.learning_rate=1e30", "stages.rl.clip_norm=1e30", "stages.rl.steps=20")
    text = refused("run", recipe, "--out", copy, *change)
    contains(text, "stage rl/stable", "NaN or infinite", "learning_rate")
    assert states(copy)["rl/stable"] == "unfinished"


# -- the disk ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of `size`; gives a function that changes the size."""
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield lambda more: subprocess.run(["mount", "-o", f"remount,size={more}", folder], check=True) and None
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_small_disk_that_is_made_larger_bit_by_bit(refused, recipe, finished, tmp_path):
    disk = tmp_path / "disk"
    often = [f"stages.{stage}.checkpoint_seconds=1e-6" for stage in ("stable", "branch", "rl")]
    reached = []
    with small_disk(disk, "16k") as resize:
        for size in ("16k", "120k", "200k", "400k", "900k", "1300k"):
            resize(size)
            text = refused("run", recipe, "--out", disk / "run", *sets(*often))
            contains(text, str(disk), "disk is full", "free space")
            assert not list(disk.rglob("*.partial"))
            done = {node for node, state in states(disk / "run").items() if state == "finished"} if reached else set()
            reached.append(len(done))
        resize("64m")
        run(recipe, disk / "run", *often)
        assert reached == sorted(reached) and reached[-1] >= 7, reached
        assert numbers(disk / "run") == numbers(finished)


@pytest.mark.parametrize(
    "name",
    ["recipe.yaml", "started.json", "documents.jsonl.zst", "tokens.bin", "shards/.*/manifest.json", "model.safetensors",
     "state.json", "stable/metrics.jsonl", "rollouts.jsonl.zst", "progress.json", "scores.json", "summary.json",
     "report.html", "rl/branch/manifest.json"],
)  # fmt: skip
def test_a_full_disk_at_any_file(refused, recipe, finished, tmp_path, monkeypatch, name):
    """The disk is full whenever a file of this name is to be made durable."""
    out, real = tmp_path / "run", os.fsync

    def full(descriptor: int) -> None:
        if re.search(f"{name}(.partial)?$", os.readlink(f"/proc/self/fd/{descriptor}")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        contains(refused("run", recipe, "--out", out), str(out), "disk is full", "free space")
    assert not list(out.rglob("*.partial"))
    run(recipe, out)
    assert numbers(out) == numbers(finished)


def test_safetensors_own_error_becomes_the_sentence_too(refused, copy, recipe, monkeypatch):
    import safetensors.torch
    from safetensors import SafetensorError

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    text = refused("run", recipe, "--out", copy, *sets("stages.branch.clip=0.9"))
    contains(text, "stage branch", "checkpoints/step-00000004", "disk is full", "free space")
    assert states(copy)["branch"] == "unfinished"


def test_a_place_that_is_no_folder(refused, recipe, tmp_path):
    (tmp_path / "file").write_text("")
    contains(refused("run", recipe, "--out", tmp_path / "file"), "file", "--out")
    contains(refused("run", recipe, "--out", tmp_path / "file" / "run"), "file", "--out")


# -- others ------------------------------------------------------------------------------------------------


def test_a_second_process_on_the_same_directory(refused, copy, recipe):
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom octolab.store.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, str(copy)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        for words in (["run", recipe, "--out", copy], ["gc", copy]):
            contains(refused(*words), str(copy), f"in use by process {holder.pid}", "choose another --out")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert not_reused(run(recipe, copy)) == {}


def test_a_hub_that_cannot_be_reached(recipe, tmp_path):
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    for words, place in (
        (["gsm8k-mini"], "data.gsm8k_train"),
        ([recipe, "--set", "models.plain={hub: nobody/nothing}"], "models.plain"),
    ):
        process = command("run", *words, "--out", tmp_path / "run", cwd=tmp_path, env=env)
        printed, said = process.communicate(timeout=60)
        assert (process.returncode, printed) == (2, ""), said
        assert len(said.splitlines()) == 1 and "Traceback" not in said
        contains(said, f"octolab: {place}", "network", f"--set {place}.path=F")
    assert not (tmp_path / "run").exists()


def test_a_shipped_recipe_runs_on_local_files_in_the_hubs_schema(tiny, world):
    recipe = load_recipe("gsm8k-mini", ["data.gsm8k_train.path=a.jsonl", "data.gsm8k.path=b.jsonl"])
    assert (recipe.data["gsm8k_train"].path, recipe.data["gsm8k"].path) == ("a.jsonl", "b.jsonl")
