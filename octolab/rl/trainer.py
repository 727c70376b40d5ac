"""GRPO, one rollout step at a time.

In order: hand the weights to the engine, choose prompts, generate a group for each, verify, advantages, then
`updates_per_step` optimizer updates on the groups. Prompts, randomness and mini-batches are functions of
(seed, step); what else a step depends on is the weights, Adam's moments and the counter of updates.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from octolab.engine.base import Request, Sampling
from octolab.engine.local import LocalEngine
from octolab.errors import UserError
from octolab.midtrain.optimizer import StepGuard, guarded_step, make_optimizer
from octolab.midtrain.trainer import compute_dtype, pick_device
from octolab.model.decoder import Decoder
from octolab.model.hf import load_checkpoint, to_hf
from octolab.model.losses import token_logprobs
from octolab.model.speed import matmul_flops
from octolab.recipe.stages import RLStage
from octolab.rl.advantage import group_advantages
from octolab.rl.batching import MicroBatch, microbatches, minibatches
from octolab.rl.length_schedule import final_max_tokens, max_tokens_at
from octolab.rl.loss import importance_weights, k3, policy_loss, ratio, row_weights
from octolab.rl.metrics import TokenStats, rollout_metrics
from octolab.rl.rollouts import Rollout, prompts_of_step
from octolab.store.stage import StageIO
from octolab.tasks.problems import Problem
from octolab.tasks.templates import Template
from octolab.tokens.tokenizer import Tokenizer
from octolab.verify import Item, Verifier, reward

GAP_LIMIT = {"cpu": 1e-4, "cuda": 0.05}
"""Mean |logp trainer - logp engine| that stops a run: the engine then has other weights (rule E8, canary)."""


class RLTrainer:
    """State of a run: policy, moments, engine, verifier, counters."""

    def __init__(
        self,
        stage: RLStage,
        parent: Path,
        problems: Sequence[Problem],
        template: Template,
        seed: int,
        verifier: Verifier,
        io: StageIO,
    ) -> None:
        self.stage, self.problems, self.template = stage, problems, template
        self.seed, self.verifier, self.io = seed, verifier, io
        self.device = pick_device()
        # On a CPU a group's prompt is computed once for all its samples; elsewhere the windows for that are missing.
        self.shared = self.device.type == "cpu"
        self.tokenizer = Tokenizer.load(parent)
        self.model = load_checkpoint(parent, self.device)
        self.reference: Decoder | None = copy.deepcopy(self.model).requires_grad_(False) if stage.kl_beta else None
        self.optimizer = make_optimizer(self.model, stage.weight_decay, stage.betas)
        self.prompts = [self._prompt(problem) for problem in problems]
        self._check()
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.engine = LocalEngine(self.model.config, self.tokenizer, rows=stage.rows, device=self.device, dtype=dtype)
        self.updates = 0
        self.guard = StepGuard("lower learning_rate of this stage")

    def _prompt(self, problem: Problem) -> tuple[int, ...]:
        return (*self.tokenizer.prefix, *self.tokenizer.encode(self.template.render(problem.question)))

    def _check(self) -> None:
        if self.tokenizer.vocab_size > self.model.config.vocab_size:
            raise UserError(
                f"the tokenizer has {self.tokenizer.vocab_size} entries but the model only "
                f"{self.model.config.vocab_size}; give the checkpoint the tokenizer it was made with"
            )
        room = self.model.config.positions - final_max_tokens(self.stage.max_tokens)
        longest = max(range(len(self.prompts)), key=lambda index: len(self.prompts[index]))
        if len(self.prompts[longest]) > room:
            raise UserError(
                f"prompts {self.stage.prompts}: problem {self.problems[longest].id} has "
                f"{len(self.prompts[longest])} tokens, which with max_tokens={final_max_tokens(self.stage.max_tokens)} "
                f"is beyond the model's context of {self.model.config.positions}; lower max_tokens or leave it out"
            )

    # -- one rollout step ---------------------------------------------------------------------------------

    def step(self, step: int) -> tuple[dict[str, float], list[Rollout]]:
        """Rollout step `step` (0-based): metrics and scored rollouts."""
        begun = time.perf_counter()
        self.engine.load_weights(to_hf(self.model), self.updates)
        rollouts, seconds = self.rollouts(step)
        metrics = rollout_metrics(rollouts, self.stage.samples_per_prompt)
        trained = time.perf_counter()
        metrics |= self.update(step, rollouts)
        seconds["train"] = time.perf_counter() - trained
        # Updates that the policy had made since the rollouts' weights when it used the last of them.
        metrics["staleness"] = float(self.updates - 1 - rollouts[0].completion.weight_version)
        tokens = sum(len(rollout.completion.ids) for rollout in rollouts)
        context = (sum(len(rollout.prompt_ids) for rollout in rollouts) + tokens) // len(rollouts)
        flops = 3 * metrics["positions"] * self.model.config.flops_per_token(context)
        metrics |= {
            "max_tokens": float(max_tokens_at(self.stage.max_tokens, step)),
            "tokens_per_s/generate": tokens / seconds["generate"],
            "tokens_per_s/train": tokens / seconds["train"],
            "mfu/train": flops / seconds["train"] / matmul_flops(self.device.type),
            **{f"seconds/{phase}": value for phase, value in seconds.items()},
            "seconds": time.perf_counter() - begun,
        }
        return {"step": step + 1} | metrics, rollouts

    def rollouts(self, step: int) -> tuple[list[Rollout], dict[str, float]]:
        """Generate, verify and weigh one batch; rollouts come group by group, sample by sample."""
        stage = self.stage
        begun = time.perf_counter()
        chosen = prompts_of_step(len(self.problems), stage.prompts_per_step, step, self.seed)
        requests = [Request(group, self.prompts[index], stage.samples_per_prompt) for group, index in enumerate(chosen)]
        sampling = Sampling(
            temperature=stage.temperature,
            max_tokens=max_tokens_at(stage.max_tokens, step),
            stop_ids=self.tokenizer.eos_ids,
            stop_strings=(*self.template.stop_strings, *stage.stop_strings),
            seed=self.seed,
            step=step,
        )
        done = sorted(self.engine.generate(requests, sampling), key=lambda one: (one.key, one.sample))
        generated = time.perf_counter()
        texts = [self.tokenizer.decode(one.ids, skip_special=True) for one in done]
        golds = [self.problems[chosen[int(one.key)]].answer for one in done]
        verdicts = self.verifier.grade([Item(gold, text) for gold, text in zip(golds, texts, strict=True)])
        rewards = np.array([reward(verdict) for verdict in verdicts])
        advantages = group_advantages(rewards.reshape(-1, stage.samples_per_prompt), stage.advantage).ravel()
        rollouts = [
            Rollout(
                problem=self.problems[chosen[int(one.key)]],
                group=int(one.key),
                prompt_ids=self.prompts[chosen[int(one.key)]],
                completion=one,
                text=text,
                verdict=verdict,
                reward=float(value),
                advantage=float(advantage),
            )
            for one, text, verdict, value, advantage in zip(done, texts, verdicts, rewards, advantages, strict=True)
        ]
        return rollouts, {"generate": generated - begun, "reward": time.perf_counter() - generated}

    def update(self, step: int, rollouts: list[Rollout]) -> dict[str, float]:
        """All optimizer updates on one rollout batch."""
        stage = self.stage
        stats = TokenStats(stage.clip_low, stage.clip_high)
        plan = minibatches(stage.prompts_per_step, stage.updates_per_step, self.seed, step)
        samples = range(stage.samples_per_prompt)
        batches = [
            microbatches(
                rollouts,
                [group * stage.samples_per_prompt + sample for group in groups for sample in samples],
                stage.max_tokens_per_microbatch,
                shared=self.shared,
            )
            for groups in plan
        ]
        # Later updates need the policy as it was at the start; the first one is that policy (rule E7).
        frozen = [[self.frozen_logprobs(micro) for micro in batch] for batch in batches[1:]]
        losses, norms = [], []
        for update, batch in enumerate(batches):
            loss = self.one_update(batch, None if update == 0 else frozen[update - 1], rollouts, stats)
            rate = stage.learning_rate * min(1.0, (self.updates + 1) / max(stage.warmup_steps, 1))
            norm = guarded_step(self.optimizer, self.model, rate, stage.clip_norm)
            self.guard.see(step + 1, loss, norm)
            self.updates += 1
            losses.append(loss)
            norms.append(norm)
        return {
            "loss": float(np.mean(losses)),
            "grad_norm": float(np.mean(norms)),
            "lr": rate,
            "skipped_updates": float(self.guard.skipped),
            **stats.metrics(),
        }

    def one_update(
        self,
        batch: list[MicroBatch],
        frozen: list[Tensor] | None,
        rollouts: list[Rollout],
        stats: TokenStats,
    ) -> float:
        """Gradients of one optimizer update; returns its loss."""
        stage = self.stage
        rows = [row for micro in batch for row in micro.rows]
        lengths = np.array([len(rollouts[row].completion.ids) for row in rows])
        weight = np.zeros(len(rollouts))
        weight[rows] = row_weights(lengths, stage.aggregation, final_max_tokens(stage.max_tokens))
        advantage = np.array([rollout.advantage for rollout in rollouts])
        total = 0.0
        for index, micro in enumerate(batch):
            logp_N, entropy_N = self.logprobs(self.model, micro)
            old_N = logp_N.detach() if frozen is None else frozen[index]
            mu_N = self.tensor(micro.rollout_N)
            advantage_N = self.tensor(advantage[micro.row_N].astype(np.float32))
            reference_N = self.reference_logprobs(micro)
            loss = policy_loss(
                logp_N,
                old_N,
                advantage_N,
                self.tensor(weight[micro.row_N].astype(np.float32)),
                clip_low=stage.clip_low,
                clip_high=stage.clip_high,
                importance_N=importance_weights(old_N, mu_N, stage.importance_cap) if stage.importance_cap else None,
                reference_N=reference_N,
                kl_beta=stage.kl_beta,
            )
            loss.backward()
            total += float(loss.detach())
            rho_N = ratio(logp_N.detach(), old_N)
            stats.add(rho_N.cpu().numpy(), advantage[micro.row_N], entropy_N.detach().cpu().numpy())
            stats.add_engine(old_N.cpu().numpy(), micro.rollout_N, same_weights=frozen is None)
            stats.add_shape(micro.real, micro.ids_BT.size)
            if reference_N is not None:
                stats.add_reference(k3(logp_N.detach(), reference_N).cpu().numpy())
        if frozen is None:
            self.canary(stats)
        return total

    def canary(self, stats: TokenStats) -> None:
        """Stop when engine and trainer, which have the same weights here, disagree on the batch."""
        gap = stats.gap()
        if gap > GAP_LIMIT[self.device.type]:
            raise RuntimeError(
                f"engine and trainer disagree: mean |log-probability difference| {gap:.2g} is above "
                f"{GAP_LIMIT[self.device.type]:g}; the engine holds stale or wrong weights"
            )

    # -- log-probabilities --------------------------------------------------------------------------------

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def logprobs(self, model: Decoder, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of a micro-batch's completion tokens at the sampling temperature."""
        with compute_dtype(self.device):
            if self.shared:
                segment_BT, place_BT = self.tensor(micro.segment_BT), self.tensor(micro.place_BT)
                hidden_BTW = model.hidden_shared(self.tensor(micro.ids_BT), segment_BT, place_BT)
            else:
                hidden_BTW = model.hidden(self.tensor(micro.ids_BT))
            hidden_NW = hidden_BTW.flatten(0, 1)[self.tensor(micro.position_N)]
            return token_logprobs(hidden_NW, model.head.weight, self.tensor(micro.target_N), self.stage.temperature)

    def frozen_logprobs(self, micro: MicroBatch) -> Tensor:
        """Log-probabilities under the policy at the start of the step. On a CPU the engine has the same weights
        in the same precision, so its own numbers serve; elsewhere they are computed."""
        if self.device.type == "cpu":
            return self.tensor(micro.rollout_N)
        with torch.no_grad():
            return self.logprobs(self.model, micro)[0]

    def reference_logprobs(self, micro: MicroBatch) -> Tensor | None:
        """Log-probabilities under the parent, where there is a penalty towards it."""
        if self.reference is None:
            return None
        with torch.no_grad():
            return self.logprobs(self.reference, micro)[0]
