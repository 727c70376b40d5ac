"""The local engine: rollouts in this process on static key/value memory.

A prompt is computed once and its keys and values are copied to the rows of its group. Running rows are kept
side by side: a row that ends is given out at once, the last running row takes its place, and new rows come in
when enough places are free, so that no step computes a token nobody wants. The engine owns its weights;
`load_weights` copies new ones in under their published names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from octolab.engine.base import Completion, Finish, Request, Sampling
from octolab.engine.sampling import choose, uniforms
from octolab.engine.stopping import StopStrings
from octolab.errors import UserError
from octolab.model.cache import KVCache
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.model.hf import from_hf
from octolab.tokens.tokenizer import Tokenizer

PREFILL_TOKENS = 8192
"""Prompt tokens (padding included) computed at once."""
REFILL_SHARE = 16
"""New rows come in when a 16th of the places is free: a prefill costs about as much as a step."""


@dataclass
class Work:
    """Counters of what was computed, for tests and throughput."""

    decode_steps: int = 0
    decoded_rows: int = 0
    prefilled_tokens: int = 0
    tokens: int = 0


@dataclass
class _Prompt:
    """A prefilled prompt with samples still to be placed."""

    request: Request
    kept: list[tuple[Tensor, Tensor]]
    source: int
    logits_V: Tensor
    next_sample: int = 0


@dataclass
class _Rows:
    """State of the running rows, side by side in 0 .. count - 1."""

    token_RT: Tensor
    logp_RT: Tensor
    uniform_RT: Tensor
    position_R: Tensor
    made_R: Tensor
    limit_R: Tensor
    owner: list[tuple[Request, int]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.owner)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.token_RT, self.logp_RT, self.uniform_RT, self.position_R, self.made_R, self.limit_R


class LocalEngine:
    """Rollouts of one decoder on one device."""

    def __init__(
        self,
        config: DecoderConfig,
        tokenizer: Tokenizer,
        *,
        rows: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Args:
        rows: completions that run at once.
        dtype: of weights and key/value memory (bf16 on a GPU, fp32 on a CPU).
        """
        self.device = torch.device(device)
        self.model = Decoder(config).to(self.device, dtype).requires_grad_(False).eval()
        self.tokenizer, self.rows, self.dtype = tokenizer, rows, dtype
        self.version = -1
        self.work = Work()
        self._cache: KVCache | None = None

    def load_weights(self, tensors: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Copy published tensors in; completions carry `version` from now on."""
        from_hf(self.model, tensors, "engine weights")
        self.version = version

    @torch.inference_mode()
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Run all requests; completions come as they finish.

        Raises:
            UserError: a prompt leaves no room in the model's context, or the model's logits are not finite.
        """
        assert self.version >= 0, "load_weights comes first"
        positions = self.model.config.positions
        for request in requests:
            if not 0 < len(request.prompt_ids) < positions:
                raise UserError(
                    f"prompt {request.key!r} has {len(request.prompt_ids)} tokens, the model's context is {positions}; "
                    "shorten the prompt (fewer shots) or raise the model's positions"
                )
        need = max((len(r.prompt_ids) for r in requests), default=0) + sampling.max_tokens
        cache = self._memory(min(self.rows, sum(r.n for r in requests)), min(need, positions))
        stops = StopStrings(self.tokenizer, sampling.stop_strings)
        stop_ids = torch.tensor(sampling.stop_ids, dtype=torch.long, device=self.device)
        waiting: deque[Request] = deque(requests)
        prompts: deque[_Prompt] = deque()
        rows = self._empty_rows(cache, sampling.max_tokens)
        logits_RV = torch.empty(0, self.model.config.vocab_size, dtype=self.dtype, device=self.device)
        while waiting or prompts or rows.count:
            free = cache.rows - rows.count
            if (waiting or prompts) and (free * REFILL_SHARE >= cache.rows or not rows.count):
                fresh = self._admit(waiting, prompts, rows, cache, sampling)
                logits_RV = torch.cat((logits_RV, *fresh))
            ended = self._advance(rows, logits_RV, sampling, stop_ids, stops)
            for row, finish in ended:
                yield self._completion(rows, row, finish)
            _drop(rows, cache, [row for row, _ in ended])
            if rows.count:
                logits_RV = self._decode(rows, cache)
            else:
                logits_RV = logits_RV[:0]

    def _memory(self, rows: int, positions: int) -> KVCache:
        """The static memory, made anew only when a call needs more than there is."""
        if self._cache is None or self._cache.rows < rows or self._cache.positions < positions:
            have = self._cache
            rows, positions = max(rows, have.rows if have else 0), max(positions, have.positions if have else 0)
            self._cache = None
            self._cache = KVCache(self.model.config, rows, positions, dtype=self.dtype, device=self.device)
        return self._cache

    def _empty_rows(self, cache: KVCache, max_tokens: int) -> _Rows:
        def whole(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=self.device)

        def real(*shape: int) -> Tensor:
            return torch.zeros(shape, device=self.device)

        return _Rows(
            token_RT=whole(cache.rows, max_tokens),
            logp_RT=real(cache.rows, max_tokens),
            uniform_RT=real(cache.rows, max_tokens),
            position_R=whole(cache.rows),
            made_R=whole(cache.rows),
            limit_R=whole(cache.rows),
        )

    def _admit(
        self, waiting: deque[Request], prompts: deque[_Prompt], rows: _Rows, cache: KVCache, sampling: Sampling
    ) -> list[Tensor]:
        """Place samples into free rows, prefilling prompts as needed; returns their first logits, [n, V] each."""
        fresh: list[Tensor] = []
        while rows.count < cache.rows and (prompts or waiting):
            if not prompts:
                prompts.extend(self._prefill(waiting, cache.rows - rows.count))
            prompt = prompts[0]
            length = len(prompt.request.prompt_ids)
            take = min(cache.rows - rows.count, prompt.request.n - prompt.next_sample)
            new = list(range(rows.count, rows.count + take))
            samples = range(prompt.next_sample, prompt.next_sample + take)
            cache.fill(new, prompt.kept, prompt.source, length)
            keys = [(prompt.request.key, sample) for sample in samples]
            if sampling.temperature > 0:
                drawn = uniforms(sampling.seed, sampling.step, keys, sampling.max_tokens)
                rows.uniform_RT[new] = torch.from_numpy(drawn).to(self.device)
            rows.position_R[new] = length
            rows.made_R[new] = 0
            rows.limit_R[new] = min(sampling.max_tokens, cache.positions - length)
            rows.owner.extend((prompt.request, sample) for sample in samples)
            fresh.append(prompt.logits_V.expand(take, -1))
            prompt.next_sample += take
            if prompt.next_sample == prompt.request.n:
                prompts.popleft()
        return fresh

    def _prefill(self, waiting: deque[Request], places: int) -> list[_Prompt]:
        """Compute the next prompts together, as many as fill `places` rows and fit `PREFILL_TOKENS`."""
        batch: list[Request] = []
        longest = 0
        while waiting and places > 0:
            longest = max(longest, len(waiting[0].prompt_ids))
            if batch and longest * (len(batch) + 1) > PREFILL_TOKENS:
                break
            batch.append(waiting.popleft())
            places -= batch[-1].n
        lengths = [len(request.prompt_ids) for request in batch]
        ids_BT = np.zeros((len(batch), max(lengths)), dtype=np.int64)
        for row, request in enumerate(batch):
            ids_BT[row, : lengths[row]] = request.prompt_ids
        kept: list[tuple[Tensor, Tensor]] = []
        hidden_BTW = self.model.hidden(torch.from_numpy(ids_BT).to(self.device), kept=kept)
        last_BW = hidden_BTW[torch.arange(len(batch)), torch.tensor(lengths) - 1]
        logits_BV = self.model.head(last_BW)
        if not bool(torch.isfinite(logits_BV).all()):
            raise UserError(
                "the model's logits are NaN or infinite, its weights are broken; train it again with a lower "
                "learning_rate, or name another checkpoint"
            )
        self.work.prefilled_tokens += sum(lengths)
        return [_Prompt(request, kept, row, logits_BV[row]) for row, request in enumerate(batch)]

    def _advance(
        self, rows: _Rows, logits_RV: Tensor, sampling: Sampling, stop_ids: Tensor, stops: StopStrings
    ) -> list[tuple[int, Finish]]:
        """Choose and store one token for every row; returns the rows that end, in order."""
        count = rows.count
        index_R = torch.arange(count, device=self.device)
        made_R = rows.made_R[:count]
        uniform_R = rows.uniform_RT[index_R, made_R]
        token_R, logp_R = choose(logits_RV, uniform_R, sampling.temperature, sampling.top_p)
        rows.token_RT[index_R, made_R] = token_R
        rows.logp_RT[index_R, made_R] = logp_R
        made_R += 1
        self.work.tokens += count
        stopped_R = torch.isin(token_R, stop_ids)
        if stops:
            for row in stops.candidates(token_R):
                stopped_R[row] |= stops.hit(rows.token_RT[row], int(made_R[row]))
        ended_R = stopped_R | (made_R >= rows.limit_R[:count])
        if not bool(ended_R.any()):
            return []
        ended = ended_R.nonzero().squeeze(-1).tolist()
        stopped = stopped_R.tolist()
        return [(row, "stop" if stopped[row] else "length") for row in ended]

    def _completion(self, rows: _Rows, row: int, finish: Finish) -> Completion:
        request, sample = rows.owner[row]
        made = int(rows.made_R[row])
        ids, logprobs = rows.token_RT[row, :made].tolist(), rows.logp_RT[row, :made].tolist()
        return Completion(request.key, sample, ids, logprobs, finish, self.version)

    def _decode(self, rows: _Rows, cache: KVCache) -> Tensor:
        """Logits [R, V] after the newest token of every row."""
        count = rows.count
        position_R = rows.position_R[:count]
        token_R = rows.token_RT[torch.arange(count, device=self.device), rows.made_R[:count] - 1]
        span = int(position_R.max()) + 1
        logits_RV = self.model.decode(token_R, position_R, cache, span)
        position_R += 1
        self.work.decode_steps += 1
        self.work.decoded_rows += count
        return logits_RV


def _drop(rows: _Rows, cache: KVCache, ended: list[int]) -> None:
    """Take ended rows out; rows from the end move into their places."""
    if not ended:
        return
    gone = set(ended)
    left = rows.count - len(ended)
    holes = [row for row in ended if row < left]
    movers = [row for row in range(left, rows.count) if row not in gone]
    if holes:
        length = int(rows.position_R[movers].max())
        cache.move(movers, holes, length)
        for tensor in rows.tensors():
            tensor[holes] = tensor[movers]
        for hole, mover in zip(holes, movers, strict=True):
            rows.owner[hole] = rows.owner[mover]
    del rows.owner[left:]
