"""A tiny model and shards of two toy sources for the tests of training."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from octolab.midtrain.trainer import Trainer
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import save_checkpoint
from octolab.recipe.stages import TrainStage
from octolab.store.stage import StageIO
from octolab.tokens.shards import Shards, write_shards
from octolab.tokens.tokenizer import Tokenizer, train_bpe

LENGTH = 32
"""Tokens in a row."""
POSITIONS = 64
"""The model's context."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors this small gain nothing from a second thread and wait long for one on a busy machine."""
    torch.set_num_threads(1)


def sums(count: int, seed: int) -> list[tuple[str, str]]:
    """Additions of one digit, one to three a document, so that lengths differ."""
    chosen = random.Random(seed)
    texts = []
    for _ in range(count):
        pairs = [(chosen.randrange(5), chosen.randrange(5)) for _ in range(chosen.randrange(1, 4))]
        texts.append(" ".join(f"{a}+{b}={a + b}" for a, b in pairs))
    return [(f"sum-{seed}-{number}", text) for number, text in enumerate(texts)]


def prose(count: int, seed: int) -> list[tuple[str, str]]:
    """Short sentences of few words."""
    chosen = random.Random(seed)
    words = ["the", "cat", "dog", "sees", "a", "big", "small", "tree"]
    return [
        (f"prose-{seed}-{number}", " ".join(chosen.choice(words) for _ in range(chosen.randrange(2, 20))) + ".")
        for number in range(count)
    ]


@dataclass(frozen=True)
class World:
    """What every test of the trainer starts from."""

    tokenizer: Tokenizer
    config: DecoderConfig
    parent: Path
    shards: dict[str, Shards]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    texts = {"sums": sums(300, 1), "prose": prose(150, 2)}
    tokenizer = train_bpe([text for documents in texts.values() for _, text in documents], 272)
    shards = {}
    for name, documents in texts.items():
        write_shards(folder / name, documents, tokenizer, LENGTH, source=name)
        shards[name] = Shards(folder / name)
    config = DecoderConfig.of_family(
        "llama", vocab_size=tokenizer.vocab_size, width=32, layers=2, heads=4, kv_heads=2, ffn=64,
        positions=POSITIONS, tied=True, rope_theta=10000.0,
    )  # fmt: skip
    save_checkpoint(Decoder(config).reset(0), folder / "parent", eos_ids=tokenizer.eos_ids)
    tokenizer.save(folder / "parent")
    return World(tokenizer, config, folder / "parent", shards)


BASE: dict[str, Any] = {
    "from": "m", "steps": 6, "sequences_per_step": 8, "sequence_length": LENGTH, "schedule": {"constant": 3e-3},
    "mixture": {"sums": 0.6, "prose": 0.4}, "max_epochs": 100,
}  # fmt: skip


def stage(**changes: Any) -> TrainStage:
    return TrainStage.model_validate(BASE | changes)


@pytest.fixture
def make_stage() -> Callable[..., TrainStage]:
    """`make_stage(**changes)`: settings of a small stage."""
    return stage


@pytest.fixture
def trainer(world: World, tmp_path: Path) -> Callable[..., Trainer]:
    """`trainer(**changes)`: a trainer whose steps a test calls itself."""

    def make(parent: Path = world.parent, seed: int = 0, **changes: Any) -> Trainer:
        return Trainer(stage(**changes), parent, world.shards, seed, StageIO(tmp_path / "stage"))

    return make
