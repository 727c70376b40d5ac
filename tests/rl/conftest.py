"""A tiny policy and made-up rollouts for the tests of GRPO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from octolab.engine.base import Completion
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import save_checkpoint
from octolab.rl.rollouts import Rollout
from octolab.tasks.problems import Problem
from octolab.tokens.tokenizer import Tokenizer, train_bpe
from octolab.verify import Verdict

POSITIONS = 64


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors this small gain nothing from a second thread and wait long for one on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A byte-level BPE of 280 entries; its end-of-text token, which also pads, has id 0."""
    return train_bpe(["Question: what is 3 + 4?\nAnswer: it is \\boxed{7}\n"] * 20, 280)


@pytest.fixture(scope="session")
def config(tokenizer: Tokenizer) -> DecoderConfig:
    return DecoderConfig.of_family(
        "llama", vocab_size=tokenizer.vocab_size, width=32, layers=2, heads=4, kv_heads=2, ffn=64,
        positions=POSITIONS, tied=True, rope_theta=10000.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, config: DecoderConfig) -> Path:
    """A checkpoint folder: random weights and the tokenizer."""
    folder = tmp_path_factory.mktemp("parent")
    save_checkpoint(Decoder(config).reset(0), folder, eos_ids=tokenizer.eos_ids)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="session")
def rollout() -> Callable[..., Rollout]:
    """`rollout(prompt, ids, ...)`: one made-up rollout; every log-probability tells its row and place."""

    def make(
        prompt: list[int],
        ids: list[int],
        *,
        group: int = 0,
        sample: int = 0,
        verdict: str = "wrong",
        finish: str = "stop",
        reward: float | None = None,
        advantage: float = 0.0,
    ) -> Rollout:
        logprobs = [-(group + sample / 10 + place / 1000) for place in range(len(ids))]
        return Rollout(
            problem=Problem(f"p{group}", "?", "7"),
            group=group,
            prompt_ids=tuple(prompt),
            completion=Completion(group, sample, ids, logprobs, finish, 0),  # type: ignore[arg-type]
            text="",
            verdict=Verdict(verdict),
            reward=float(verdict == "correct") if reward is None else reward,
            advantage=advantage,
        )

    return make
