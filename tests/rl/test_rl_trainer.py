"""The trainer as a whole: it learns, stops when engine and policy part, and is taken up again to the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import octolab.rl.run as run_module
import octolab.rl.trainer as module
from octolab.engine.local import LocalEngine
from octolab.errors import UserError
from octolab.midtrain.checkpoint import latest
from octolab.model.hf import load_checkpoint, save_checkpoint
from octolab.recipe.stages import RLStage
from octolab.rl.run import train_rl
from octolab.rl.trainer import RLTrainer
from octolab.store.logs import read_log
from octolab.store.stage import StageIO
from octolab.tasks.problems import Problem
from octolab.tasks.templates import template
from octolab.verify import Verifier

PROBLEMS = [Problem(f"p{n}", "what is " + "1 + " * n + "1?", str(n + 1)) for n in range(6)]
BASE: dict[str, Any] = {
    "from": "m", "prompts": "toy", "steps": 5, "prompts_per_step": 4, "samples_per_prompt": 4,
    "learning_rate": 3e-3, "max_tokens": 6, "reward": "reward_functions:begins_early_in_the_alphabet",
}  # fmt: skip


def stage(**changes: Any) -> RLStage:
    return RLStage.model_validate(BASE | changes)


@pytest.fixture(autouse=True)
def _rewards_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def run(parent: Path, tmp_path: Path) -> Callable[..., Path]:
    """`run(name, **changes)`: a whole stage in the folder `name`; returns the folder."""

    def go(name: str, seed: int = 0, problems: list[Problem] = PROBLEMS, **changes: Any) -> Path:
        out = tmp_path / name
        train_rl(stage(**changes), parent, problems, template("simple"), seed, StageIO(out))
        return out

    return go


@pytest.fixture(scope="module")
def verifier():
    """The shipped verifier: random text boxes nothing, so that every reward is 0."""
    with Verifier() as pool:
        yield pool


@pytest.fixture
def trainer(parent: Path, tmp_path: Path, verifier: Verifier) -> Callable[..., RLTrainer]:
    """`trainer(**changes)`: a trainer whose steps a test calls itself; every reward is 0."""

    def make(**changes: Any) -> RLTrainer:
        return RLTrainer(stage(**changes), parent, PROBLEMS, template("simple"), 0, verifier, StageIO(tmp_path))

    return make


def metrics_of(out: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without times and speeds."""
    timed = ("seconds", "tokens_per_s", "mfu")
    return [{k: v for k, v in entry.items() if not k.startswith(timed)} for entry in read_log(out / "metrics.jsonl")]


def everything(out: Path) -> dict[str, Any]:
    """All that a run leaves and that must not depend on having been interrupted."""
    save = latest(out)
    assert save is not None
    tensors = load_file(save / "model.safetensors") | load_file(save / "trainer" / "moments.safetensors")
    state = json.loads((save / "trainer" / "state.json").read_text())
    return {
        "save": save.name,
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in tensors.items()},
        "state": {name: state[name] for name in ("step", "updates", "skipped")},
        "metrics": metrics_of(out),
        "rollouts": list(read_log(out / "rollouts.jsonl.zst")),
    }


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


# -- learning ---------------------------------------------------------------------------------------------------


def test_reward_rises(run):
    """Random weights begin with one of ten letters in about an eighth of their completions."""
    out = run("learn", steps=30, samples_per_prompt=8, learning_rate=1e-2, max_tokens=4)
    metrics = metrics_of(out)
    rewards = [entry["reward/mean"] for entry in metrics]
    assert np.mean(rewards[:5]) < 0.25 and np.mean(rewards[-5:]) > 0.6
    assert all(entry["engine_gap/mean"] < 1e-5 for entry in metrics)
    assert all(entry["ratio/max"] == 1.0 for entry in metrics), "one update a batch is on-policy"
    assert [entry["step"] for entry in metrics] == list(range(1, 31))
    assert metrics[-1]["entropy"] < metrics[0]["entropy"]


@pytest.mark.parametrize("setting", ["modern", "octothinker"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_engine_and_trainer_agree_at_every_step(run, setting, temperature):
    """Also below temperature 1, which both must divide by."""
    out = run("agree", setting=setting, temperature=temperature, steps=6)
    gaps = [entry["engine_gap/mean"] for entry in metrics_of(out)]
    assert len(gaps) == 6 and max(gaps) < 1e-5


def test_no_reward_teaches_nothing(trainer):
    """Every group has equal rewards: the gradient is exactly zero and so is the change of every weight."""
    one = trainer(learning_rate=1.0)
    before = weights(one.model)
    for step in range(2):
        metrics, rollouts = one.step(step)
        assert metrics["grad_norm"] == 0.0 and metrics["groups/all_wrong"] == 1.0
        assert all(rollout.advantage == 0.0 for rollout in rollouts)
    assert all(torch.equal(before[name], weight) for name, weight in one.model.named_parameters())


def test_unscorable_completions_are_counted_and_not_learnt(run):
    out = run("broken", reward="reward_functions:broken_on_x", steps=3, samples_per_prompt=8)
    records = list(read_log(out / "rollouts.jsonl.zst"))
    broken = [record for record in records if record["verdict"] == "error"]
    assert broken and all(record["reward"] is None and record["advantage"] == 0 for record in broken)
    assert sum(entry["unscorable"] for entry in metrics_of(out)) == len(broken)
    for step in (1, 2, 3):
        for group in range(4):
            scored = [r for r in records if (r["step"], r["group"]) == (step, group) and r["reward"] is not None]
            assert sum(record["advantage"] for record in scored) == pytest.approx(0)


def test_a_run_that_nothing_could_be_scored_in_still_ends(run, tmp_path):
    out = run("hopeless", reward="reward_functions:always_broken", steps=2)
    entries = list(read_log(out / "metrics.jsonl"))
    assert [entry["accuracy"] for entry in entries] == [None, None]
    assert [entry["unscorable"] for entry in entries] == [16, 16]
    assert [entry["pass_at/1"] for entry in entries] == [None, None]


def test_rollouts_hold_all_that_a_replay_needs(run, parent):
    """From the log alone: log-probabilities by a full forward, advantages from rewards, the rule of each group."""
    out = run("log", steps=1)
    records = list(read_log(out / "rollouts.jsonl.zst"))
    assert [(record["group"], record["sample"]) for record in records] == [(g, s) for g in range(4) for s in range(4)]
    policy = load_checkpoint(parent)
    for record in records:
        ids = torch.tensor([record["prompt_ids"] + record["ids"]])
        logits = policy(ids)[0, len(record["prompt_ids"]) - 1 : -1]
        logp = logits.log_softmax(-1).gather(-1, torch.tensor(record["ids"])[:, None]).squeeze(-1)
        np.testing.assert_allclose(logp.tolist(), record["logprobs"], atol=1e-5)
        group = [other["reward"] for other in records if other["group"] == record["group"]]
        assert record["advantage"] == pytest.approx(record["reward"] - np.mean(group))
        assert record["finish"] == ("stop" if record["ids"][-1] == 0 else "length")
    assert len({record["problem_id"] for record in records}) == 4


# -- what enters the loss ---------------------------------------------------------------------------------------


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments of every call of `policy_loss`, in order."""
    calls: list[dict[str, Any]] = []
    real = module.policy_loss

    def spy(logp: Any, old: Any, advantage: Any, weight: Any, **more: Any) -> Any:
        calls.append({"logp": logp.detach().clone(), "old": old, "advantage": advantage, "weight": weight} | more)
        return real(logp, old, advantage, weight, **more)

    monkeypatch.setattr(module, "policy_loss", spy)
    return calls


def test_truncated_rows_are_kept(run, losses):
    """Their tokens are in numerator and denominator; with no row that ended there is still something to learn."""
    out = run("cut", steps=1, max_tokens=3, samples_per_prompt=16)
    records = list(read_log(out / "rollouts.jsonl.zst"))
    cut = [record for record in records if record["finish"] == "length"]
    assert len(cut) > 0.8 * len(records) and any(record["advantage"] for record in cut)
    tokens = sum(len(record["ids"]) for record in records)
    assert sum(call["logp"].numel() for call in losses) == tokens
    for call in losses:
        torch.testing.assert_close(call["weight"], torch.full_like(call["weight"], 1 / tokens))
    assert metrics_of(out)[0]["truncated"] == len(cut) / len(records)


def joined(calls: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The micro-batches of an update as one."""
    return {name: torch.cat([call[name] for call in calls]) for name in ("logp", "old", "advantage", "weight")}


def test_octothinker_makes_two_updates_and_the_first_is_on_policy(run, losses, parent):
    out = run("two", setting="octothinker", steps=1, learning_rate=1e-2, max_tokens_per_microbatch=10_000)
    on_policy = [torch.equal(call["old"], call["logp"]) for call in losses]
    border = on_policy.index(False)
    first, second = (joined(losses[part]) for part in (slice(border), slice(border, None)))
    assert first["weight"].sum().item() == pytest.approx(1) == second["weight"].sum().item(), "each a whole update"
    assert torch.equal(first["old"], first["logp"]), "the ratio of the first update is exactly 1"
    assert (second["old"] - second["logp"]).abs().max() > 1e-3, "the second sees a policy that has moved"
    assert metrics_of(out)[0]["ratio/max"] > 1.001
    records = list(read_log(out / "rollouts.jsonl.zst"))
    frozen = sorted(round(value, 5) for record in records for value in record["logprobs"])
    used = torch.cat((first["old"], second["old"])).tolist()
    np.testing.assert_allclose(sorted(used), frozen, atol=2e-5)
    state = json.loads((latest(out) / "trainer" / "state.json").read_text())
    assert state["updates"] == 2
    assert {call["clip_high"] for call in losses} == {0.2}


def test_octothinker_divides_by_the_deviation(run):
    out = run("std", setting="octothinker", steps=2, samples_per_prompt=16)
    for record in read_log(out / "rollouts.jsonl.zst"):
        if record["advantage"] and record["reward"] == 1.0:
            assert record["advantage"] > 1.0, "centred advantages are below 1"
            return
    pytest.fail("no group was mixed")


def test_constant_aggregation_is_not_rescaled_by_the_length_schedule(run, losses):
    schedule = [{"step": 0, "max_tokens": 2}, {"step": 2, "max_tokens": 5}]
    out = run("schedule", aggregation="constant", max_tokens=schedule, steps=4)
    metrics = metrics_of(out)
    assert [entry["max_tokens"] for entry in metrics] == [2, 2, 5, 5]
    assert [entry["length/max"] for entry in metrics] == [2, 2, 5, 5]
    for call in losses:
        torch.testing.assert_close(call["weight"], torch.full_like(call["weight"], 1 / (16 * 5)))


def test_importance_weights_enter_when_asked_for(run, losses):
    run("tis", steps=1, importance_cap=2.0)
    assert all(call["importance_N"] is not None for call in losses)
    for call in losses:
        torch.testing.assert_close(call["importance_N"], torch.ones_like(call["importance_N"]), atol=1e-5, rtol=0)
    losses.clear()
    run("off", steps=1)
    assert all(call["importance_N"] is None and call["reference_N"] is None for call in losses)


def test_microbatches_change_nothing_but_rounding(run, monkeypatch):
    """Gradients of a step in one piece and in many, then whole runs."""
    gradients: list[torch.Tensor] = []
    real = module.guarded_step

    def spy(optimizer: Any, model: Any, *rest: Any) -> float:
        gradients.append(torch.cat([weight.grad.flatten().clone() for weight in model.parameters()]))
        return real(optimizer, model, *rest)

    monkeypatch.setattr(module, "guarded_step", spy)
    changes = {"steps": 3, "learning_rate": 1e-4, "samples_per_prompt": 8}
    one = run("one", max_tokens_per_microbatch=100_000, **changes)
    many = run("many", max_tokens_per_microbatch=60, **changes)
    whole, split = gradients[:3], gradients[3:]
    assert len(split) == 3 and whole[0].norm() > 0.01
    torch.testing.assert_close(split[0], whole[0], atol=1e-6, rtol=0)
    for left, right in zip(metrics_of(one), metrics_of(many), strict=True):
        for name in ("loss", "grad_norm", "entropy", "reward/mean"):
            assert left[name] == pytest.approx(right[name], abs=1e-5)
    assert metrics_of(many)[0]["padding"] < metrics_of(one)[0]["padding"]


def test_penalty_pulls_back_to_the_parent(trainer):
    """Without any reward, from weights that were moved away, only the penalty acts."""
    one = trainer(kl_beta=1.0, learning_rate=3e-3, samples_per_prompt=8)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in one.model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    assert one.reference is not None
    probe = torch.tensor([one.prompts[3]])
    parent_logp = one.reference(probe).log_softmax(-1)

    def distance() -> float:
        with torch.no_grad():
            logp = one.model(probe).log_softmax(-1)
            return float((logp.exp() * (logp - parent_logp)).sum(-1).mean())

    before, reference = distance(), weights(one.reference)
    for step in range(12):
        metrics, _ = one.step(step)
        assert np.isfinite(metrics["loss"]) and metrics["grad_norm"] > 0
    assert distance() < 0.6 * before
    assert all(torch.equal(reference[name], weight) for name, weight in one.reference.named_parameters())


def test_first_penalty_is_zero(run, losses):
    """The policy starts as its own reference."""
    run("kl", kl_beta=0.1, steps=2)
    first = losses[0]
    torch.testing.assert_close(first["reference_N"], first["logp"], atol=1e-6, rtol=0)
    assert first["kl_beta"] == 0.1


def test_warmup_counts_updates(run):
    out = run("warm", setting="octothinker", steps=3, warmup_steps=4, learning_rate=1e-3)
    assert [entry["lr"] for entry in metrics_of(out)] == pytest.approx([5e-4, 1e-3, 1e-3])


# -- the canary -------------------------------------------------------------------------------------------------


def test_canary_fires_when_the_engine_keeps_old_weights(run, monkeypatch):
    real, calls = LocalEngine.load_weights, []

    def once(self: LocalEngine, tensors: Any, version: int) -> None:
        calls.append(version)
        if len(calls) == 1:
            real(self, tensors, version)

    monkeypatch.setattr(LocalEngine, "load_weights", once)
    with pytest.raises(RuntimeError, match="stale"):
        run("stale", learning_rate=5e-2, steps=4, samples_per_prompt=16)
    assert calls == [0, 1], "the first step whose weights did not arrive is the one that stops"


# -- resume -----------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for a SIGKILL at one moment."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch):
    """`with killed_at(step):` dies after the logs of `step` are written and before its save."""
    real = run_module.save_training

    class At:
        def __init__(self, step: int) -> None:
            self.step = step

        def __enter__(self) -> None:
            def save(out: Path, step: int, *rest: Any) -> Path:
                if step == self.step:
                    raise Killed
                return real(out, step, *rest)

            monkeypatch.setattr(run_module, "save_training", save)

        def __exit__(self, *_: object) -> None:
            monkeypatch.setattr(run_module, "save_training", real)

    return At


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("done", [1, 3], ids=["mid-epoch", "at an epoch's border"])
def test_resume_goes_on_to_the_same_bits(run, killed_at, done, updates):
    """6 problems, 4 a step: after step 1 an epoch is under way, after step 3 the second has just ended."""
    changes = {"updates_per_step": updates, "advantage": "std", "checkpoint_seconds": 1e-9}
    whole = run("whole", **changes)
    with killed_at(done + 1), pytest.raises(Killed):
        run("cut", **changes)
    out = latest(whole).parent.parent.parent / "cut"
    assert latest(out).name == f"step-{done:08d}"
    extra = list(read_log(out / "metrics.jsonl"))
    assert len(extra) == done + 1, "the log is ahead of the save; resuming cuts it back"
    run("cut", **changes)
    assert everything(out) == everything(whole)
    problems = [record["problem_id"] for record in read_log(out / "rollouts.jsonl.zst") if record["sample"] == 0]
    for epoch in range(3):
        assert sorted(problems[6 * epoch : 6 * epoch + 6]) == [f"p{n}" for n in range(6)]


def test_killed_before_the_first_save(run, killed_at):
    whole = run("whole", steps=2)
    with killed_at(2), pytest.raises(Killed):
        run("cut", steps=2)
    assert everything(run("cut", steps=2)) == everything(whole)


def test_raising_steps_continues(run):
    assert everything(run("grown", steps=2))["save"] == "step-00000002"
    assert everything(run("grown", steps=5)) == everything(run("whole", steps=5))


def test_running_a_finished_stage_again_changes_nothing(run):
    before = everything(run("done", steps=2))
    assert everything(run("done", steps=2)) == before


def test_seed_decides(run):
    assert everything(run("a", steps=2)) == everything(run("b", steps=2))
    other = everything(run("c", steps=2, seed=1))
    assert other["rollouts"] != everything(run("a", steps=2))["rollouts"]


def test_resume_keeps_the_parent_as_reference(run, killed_at):
    """The penalty pulls towards the parent, not towards the weights at which the run was taken up."""
    changes = {"kl_beta": 0.5, "checkpoint_seconds": 1e-9, "steps": 3}
    whole = run("whole", **changes)
    with killed_at(3), pytest.raises(Killed):
        run("cut", **changes)
    assert everything(run("cut", **changes)) == everything(whole)


# -- bad input --------------------------------------------------------------------------------------------------


def test_prompt_beyond_the_context_names_the_problem(run):
    long = Problem("too-long", "1 + " * 40 + "1?", "41")
    with pytest.raises(UserError) as caught:
        run("long", problems=[*PROBLEMS, long])
    text = str(caught.value)
    assert "too-long" in text and "context of 64" in text and "max_tokens" in text


def test_a_cap_that_leaves_no_room_names_the_last_cap(run):
    schedule = [{"step": 0, "max_tokens": 2}, {"step": 100, "max_tokens": 63}]
    with pytest.raises(UserError, match="max_tokens=63"):
        run("cap", max_tokens=schedule)


def test_tokenizer_that_does_not_fit(run, parent, tokenizer, tmp_path):
    small = load_checkpoint(parent)
    from octolab.model.config import DecoderConfig
    from octolab.model.decoder import Decoder

    config = DecoderConfig.of_family(
        "llama", vocab_size=200, width=32, layers=1, heads=2, kv_heads=2, ffn=32, positions=64, tied=True,
        rope_theta=10000.0,
    )  # fmt: skip
    assert small.config.vocab_size == tokenizer.vocab_size
    save_checkpoint(Decoder(config).reset(0), tmp_path / "small")
    tokenizer.save(tmp_path / "small")
    with pytest.raises(UserError, match=r"tokenizer has \d+ entries but the model only 200"):
        train_rl(stage(), tmp_path / "small", PROBLEMS, template("simple"), 0, StageIO(tmp_path / "out"))


@pytest.mark.parametrize("rate", [1e20, 1e38])
def test_divergence_is_said_in_one_sentence(run, rate):
    with pytest.raises(UserError, match=r"NaN or infinite.*lower.*learning_rate"):
        run("nan", learning_rate=rate, steps=20, samples_per_prompt=16)


def test_reward_that_does_not_exist(run):
    with pytest.raises(UserError, match="reward_functions:absent"):
        run("absent", reward="reward_functions:absent")


def test_updates_must_divide_the_prompts():
    with pytest.raises(ValueError, match="does not divide"):
        stage(updates_per_step=3)
