"""Next-token training of one stage: from a checkpoint and shards to a checkpoint.

In goes a Hugging Face folder (whose Adam state a branch carries over), the shards of each source and the
stage's settings; out come `checkpoints/`, `metrics.jsonl` and a summary. One step, in order: rows of the
mixture, targets, one global token count, forward and backward in micro-batches, clip, AdamW. The order of rows
is a function of (seed, position), the rate one of tokens seen, and the save holds all else, so a killed run
goes on to the same bits.
"""

from __future__ import annotations

import math
import shutil
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from octolab.errors import UserError
from octolab.midtrain.checkpoint import latest, load_training, restore_optimizer, save_training
from octolab.midtrain.optimizer import StepGuard, guarded_step, make_optimizer
from octolab.midtrain.schedules import learning_rate
from octolab.model.decoder import Decoder
from octolab.model.hf import load_checkpoint
from octolab.model.losses import next_token_losses
from octolab.model.speed import matmul_flops
from octolab.recipe.stages import TrainStage
from octolab.store.logs import JsonLines
from octolab.store.stage import StageIO
from octolab.tokens.mixture import Mixture, Source
from octolab.tokens.shards import Shards
from octolab.tokens.tokenizer import Tokenizer


def pick_device() -> torch.device:
    """The first GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 compute on a GPU, fp32 on a CPU (bf16 is slower there); weights and Adam stay fp32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def plan_mixture(stage: TrainStage, shards: dict[str, Shards], seed: int) -> Mixture:
    """The exact order of rows of a stage.

    Raises:
        UserError: a source is too small for its share of the tokens.
    """
    sources = [Source(name, shards[name].rows, shards[name].tokens) for name in stage.mixture]
    return Mixture(sources, stage.mixture, stage.steps * stage.sequences_per_step, seed, stage.max_epochs)


def compile_blocks(model: Decoder, io: StageIO) -> None:
    """Compile every block, or say why not."""
    if shutil.which("c++") is None and shutil.which("g++") is None and not torch.cuda.is_available():
        io.log("compile: no C++ compiler found, running eager")
        return
    model.compile_blocks()


class Trainer:
    """State of a run: weights, moments, the data plan, counters."""

    def __init__(self, stage: TrainStage, parent: Path, shards: dict[str, Shards], seed: int, io: StageIO) -> None:
        self.stage, self.io = stage, io
        self.device = pick_device()
        self.tokenizer = Tokenizer.load(parent)
        self.model = load_checkpoint(parent, self.device)
        self._check(parent, shards)
        self.names = list(stage.mixture)
        self.shards = [shards[name] for name in self.names]
        self.mixture = plan_mixture(stage, shards, seed)
        self.optimizer = make_optimizer(self.model, stage.weight_decay, stage.betas)
        if stage.optimizer == "carry" and restore_optimizer(parent, self.model, self.optimizer):
            io.log("carried over the parent's Adam state")
        if stage.compile:
            compile_blocks(self.model, io)
        self.tokens_seen = 0
        self.tokens_by_source = dict.fromkeys(self.names, 0)
        self.guard = StepGuard("lower the learning rate (stages.<stage>.schedule) or look at the data")

    def _check(self, parent: Path, shards: dict[str, Shards]) -> None:
        config = self.model.config
        if self.tokenizer.vocab_size > config.vocab_size:
            raise UserError(
                f"{parent}: the tokenizer has {self.tokenizer.vocab_size} entries but the model only "
                f"{config.vocab_size}; give the model the tokenizer it was made with"
            )
        if self.stage.sequence_length > config.positions:
            raise UserError(
                f"{parent}: sequence_length {self.stage.sequence_length} is beyond the model's context of "
                f"{config.positions} tokens; lower sequence_length or raise positions"
            )
        for name, shard in shards.items():
            if shard.tokenizer_hash != self.tokenizer.hash:
                raise UserError(
                    f"{shard.folder}: source {name} was tokenised with another tokenizer than {parent}'s; "
                    "remove the shards and run again"
                )

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids [B, T], document numbers [B, T] and source of each row [B] of step `step` (0-based)."""
        count = self.stage.sequences_per_step
        source_B, row_B = self.mixture.rows(step * count, count)
        length = self.stage.sequence_length
        ids_BT = np.full((count, length), self.tokenizer.eos_id, dtype=np.int64)
        documents_BT = np.full((count, length), -1, dtype=np.int32)
        for index, shard in enumerate(self.shards):
            mine = np.flatnonzero(source_B == index)
            if mine.size:
                rows = shard.batch(row_B[mine])
                ids_BT[mine], documents_BT[mine] = rows.ids, rows.doc_index
        worst = int(ids_BT.max())
        if worst >= self.model.config.vocab_size:
            culprit = self.shards[int(source_B[int(np.argmax(ids_BT.max(1)))])]
            raise UserError(
                f"{culprit.folder}: token id {worst} is out of range for a model with {self.model.config.vocab_size} "
                "entries; remove the shards and run again"
            )
        return ids_BT, documents_BT, source_B

    def step(self, step: int) -> dict[str, float]:
        """One optimizer step; returns its metrics."""
        begun = time.perf_counter()
        stage = self.stage
        ids_BT, documents_BT, source_B = self.batch(step)
        # A token is a target where the token before it belongs to the same document.
        counted_BT = (documents_BT[:, 1:] == documents_BT[:, :-1]) & (documents_BT[:, 1:] >= 0)
        total = int(counted_BT.sum())
        loss_S, count_S = np.zeros(len(self.names)), np.zeros(len(self.names))
        rows = max(1, stage.max_tokens_per_microbatch // stage.sequence_length)
        for start in range(0, len(ids_BT), rows):
            part = slice(start, start + rows)
            losses_N = self.losses(ids_BT[part], documents_BT[part], counted_BT[part])
            (losses_N.sum() / max(total, 1)).backward()
            source_N = np.repeat(source_B[part], counted_BT[part].sum(1))
            loss_S += np.bincount(source_N, losses_N.detach().double().cpu().numpy(), len(self.names))
            count_S += np.bincount(source_N, minlength=len(self.names))
        tokens_per_step = stage.sequences_per_step * stage.sequence_length
        lr = learning_rate(stage.schedule, step * tokens_per_step, stage.steps * tokens_per_step, tokens_per_step)
        norm = guarded_step(self.optimizer, self.model, lr, stage.clip)
        loss = float(loss_S.sum() / max(total, 1))
        self.guard.see(step + 1, loss, norm)
        self.tokens_seen += total
        for name, count in zip(self.names, count_S, strict=True):
            self.tokens_by_source[name] += int(count)
        seconds = time.perf_counter() - begun
        metrics = {"step": step + 1, "tokens": self.tokens_seen, "loss": loss, "lr": lr, "grad_norm": norm}
        for name, loss_sum, count in zip(self.names, loss_S, count_S, strict=True):
            metrics[f"loss/{name}"] = float(loss_sum / count) if count else math.nan
        flops = 3 * tokens_per_step * self.model.config.flops_per_token(stage.sequence_length)
        return metrics | {
            "tokens_per_s": tokens_per_step / seconds,
            "mfu": flops / seconds / matmul_flops(self.device.type),
            "seconds": seconds,
        }

    def losses(self, ids_BT: np.ndarray, documents_BT: np.ndarray, counted_BT: np.ndarray) -> Tensor:
        """Losses in nats of the counted targets of a micro-batch, [N], row by row."""
        ids = torch.from_numpy(ids_BT).to(self.device)
        documents = torch.from_numpy(documents_BT).to(self.device)
        position_N = torch.from_numpy(np.flatnonzero(np.pad(counted_BT, ((0, 0), (0, 1))))).to(self.device)
        with compute_dtype(self.device):
            hidden_NW = self.model.hidden(ids, documents).flatten(0, 1)[position_N]
            return next_token_losses(hidden_NW, self.model.head.weight, ids.flatten()[position_N + 1])

    def state(self, log: JsonLines) -> dict[str, Any]:
        """What a save holds beside weights and moments."""
        return {
            "tokens_seen": self.tokens_seen,
            "tokens_by_source": self.tokens_by_source,
            "skipped": self.guard.skipped,
            "offsets": {"metrics.jsonl": log.offset()},
        }

    def resume(self, folder: Path) -> tuple[int, int]:
        """Take up a save; returns its step and where the log stood."""
        state = load_training(folder, self.model, self.optimizer)
        self.tokens_seen, self.guard.skipped = state["tokens_seen"], state["skipped"]
        self.tokens_by_source = {name: state["tokens_by_source"][name] for name in self.names}
        return state["step"], state["offsets"]["metrics.jsonl"]


def train(stage: TrainStage, parent: Path, shards: dict[str, Shards], seed: int, io: StageIO) -> dict[str, Any]:
    """Run a stage to its last step, from its newest save if it has one.

    Args:
        stage: settings.
        parent: checkpoint folder to start from.
        shards: source name -> shards, for every source of the mixture.
        seed: seed of the data order.
        io: the stage's folder, progress and log.

    Returns:
        The stage's summary; the final checkpoint is `checkpoint` in it, relative to the folder.

    Raises:
        UserError: data, tokenizer and model do not fit, a source is too small, or training diverged.
    """
    trainer = Trainer(stage, parent, shards, seed, io)
    for line in trainer.mixture.lines():
        io.log(line)
    saved = latest(io.out)
    done, offset = trainer.resume(saved) if saved else (0, 0)
    if saved:
        io.log(f"going on from step {done}")
    log = JsonLines(io.out / "metrics.jsonl", offset)
    last_save = time.monotonic()
    for step in range(done, stage.steps):
        metrics = trainer.step(step)
        log.append([metrics])
        io.progress(step + 1, stage.steps, f"loss {metrics['loss']:.3f}  {metrics['tokens_per_s']:,.0f} tok/s")
        if step + 1 == stage.steps or time.monotonic() - last_save > stage.checkpoint_seconds:
            save_training(io.out, step + 1, trainer.model, trainer.tokenizer, trainer.optimizer, trainer.state(log))
            last_save = time.monotonic()
    log.close()
    return summary(trainer, io.out)


def summary(trainer: Trainer, out: Path) -> dict[str, Any]:
    """Numbers of a finished stage, read from its own log so that a resumed run reports the same."""
    from octolab.store.logs import read_log

    metrics = list(read_log(out / "metrics.jsonl"))
    losses = [entry["loss"] for entry in metrics[-10:] if entry["loss"] is not None]
    return {
        "steps": trainer.stage.steps,
        "tokens": trainer.tokens_seen,
        "loss": float(np.mean(losses)) if losses else None,
        "parameters": trainer.model.config.parameters(),
        "epochs": {name: plan["epochs"] for name, plan in trainer.mixture.plan().items()},
        "tokens_by_source": trainer.tokens_by_source,
        "skipped_steps": trainer.guard.skipped,
    }
