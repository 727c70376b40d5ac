"""What every rollout engine takes and gives.

Requests go in, completions come out one by one as they finish. Token ids are the engine's own and go straight
to the trainer: text is for people. Log-probabilities are those of the distribution that was sampled from
(processed logits), so that the trainer can check or correct against them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Finish = Literal["stop", "length", "abort"]


@dataclass(frozen=True)
class Request:
    """One prompt and how many completions of it are wanted; `key` names the group and seeds its randomness."""

    key: str | int
    prompt_ids: tuple[int, ...]
    n: int = 1


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. `temperature` 0 is greedy; `max_tokens` counts completion tokens; a completion ends
    with the first of `stop_ids` (kept, finish "stop") or where its text contains one of `stop_strings`."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop_ids: tuple[int, ...] = ()
    stop_strings: tuple[str, ...] = ()
    seed: int = 0
    step: int = 0


@dataclass(frozen=True)
class Completion:
    """One finished completion: ids [T] with the stop token where there is one, log-probabilities [T]."""

    key: str | int
    sample: int
    ids: list[int]
    logprobs: list[float]
    finish: Finish
    weight_version: int


class Engine(Protocol):
    """A rollout engine."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Run all requests; completions come as they finish."""
        ...

    def load_weights(self, tensors: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Take new weights under their published names."""
        ...
