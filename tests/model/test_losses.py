"""Losses and log-probabilities: in chunks as in one piece, equal to torch's own distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical

import octolab.model.losses as module
from octolab.model.losses import next_token_losses, token_logprobs

COUNT, WIDTH, VOCAB = 23, 8, 50


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states [N, W], an output head [V, W] and targets [N], spread so that entropies differ."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(COUNT, WIDTH, generator=generator) * torch.linspace(0.1, 2.0, COUNT)[:, None]
    head = torch.randn(VOCAB, WIDTH, generator=generator)
    return hidden, head, torch.randint(0, VOCAB, (COUNT,), generator=generator)


def with_gradients(function, hidden, head, targets, *rest):
    """Values and the gradients of a weighted sum of them with respect to hidden states and head."""
    hidden, head = hidden.clone().requires_grad_(), head.clone().requires_grad_()
    found = function(hidden, head, targets, *rest)
    values = found if isinstance(found, tuple) else (found,)
    (values[0] * torch.arange(1.0, COUNT + 1)).sum().backward()
    return [*(value.detach() for value in values), hidden.grad, head.grad]


@pytest.mark.parametrize("rows_at_once", [1, 4, 22, 23])
@pytest.mark.parametrize(("function", "rest"), [(next_token_losses, ()), (token_logprobs, (0.7,))])
def test_chunks_equal_the_whole(data, monkeypatch, rows_at_once, function, rest):
    whole = with_gradients(function, *data, *rest)
    largest = 0
    real = torch.nn.functional.linear

    def watched(*args):
        nonlocal largest
        logits = real(*args)
        largest = max(largest, logits.numel())
        return logits

    monkeypatch.setattr(module, "LOGITS_AT_ONCE", rows_at_once * VOCAB + VOCAB - 1)
    monkeypatch.setattr(module.F, "linear", watched)
    chunked = with_gradients(function, *data, *rest)
    assert largest == rows_at_once * VOCAB, "never more logits at once than allowed"
    for one, two in zip(whole, chunked, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_a_vocabulary_beyond_the_limit_goes_row_by_row(data, monkeypatch):
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", 1)
    torch.testing.assert_close(next_token_losses(*data), torch.nn.functional.cross_entropy(
        data[0] @ data[1].T, data[2], reduction="none"))  # fmt: skip


def test_next_token_losses_are_cross_entropies_in_nats(data):
    hidden, head, targets = data
    expected = -Categorical(logits=hidden @ head.T).log_prob(targets)
    torch.testing.assert_close(next_token_losses(hidden, head, targets), expected)


@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 1.3])
def test_logprobs_and_entropy_at_a_temperature(data, temperature):
    hidden, head, targets = data
    distribution = Categorical(logits=(hidden @ head.T) / temperature)
    logp, entropy = token_logprobs(hidden, head, targets, temperature)
    torch.testing.assert_close(logp, distribution.log_prob(targets), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropy, distribution.entropy(), atol=1e-5, rtol=1e-5)
    assert entropy.max() - entropy.min() > 0.5


def test_entropy_is_the_distributions_and_not_the_samples(data):
    """Minus the log-probability of the sampled token is only an estimate of it."""
    hidden, head, targets = data
    logp, entropy = token_logprobs(hidden, head, targets, 1.0)
    again, same = token_logprobs(hidden, head, (targets + 1) % VOCAB, 1.0)
    assert torch.equal(entropy, same) and not torch.equal(logp, again)


def test_entropy_carries_no_gradient(data):
    hidden, head, targets = data
    logp, entropy = token_logprobs(hidden.requires_grad_(), head, targets, 1.0)
    assert logp.requires_grad and not entropy.requires_grad


def test_hidden_states_are_not_written_to(data):
    before = [tensor.clone() for tensor in data]
    token_logprobs(*data, 0.5)
    next_token_losses(*data)
    assert all(torch.equal(a, b) for a, b in zip(before, data, strict=True))


def test_arithmetic_behind_the_product_is_fp32(data):
    """bf16 logits keep eight bits; their softmax must not be taken in bf16 as well."""
    hidden, head, targets = data
    half = (hidden.bfloat16(), head.bfloat16())
    logits = torch.nn.functional.linear(*half).float()
    logp, entropy = token_logprobs(*half, targets, 0.7)
    assert logp.dtype == entropy.dtype == next_token_losses(*half, targets).dtype == torch.float32
    torch.testing.assert_close(logp, Categorical(logits=logits / 0.7).log_prob(targets), atol=1e-5, rtol=1e-5)


def test_nothing_to_score(data):
    hidden, head, targets = data
    losses = next_token_losses(hidden[:0].requires_grad_(), head, targets[:0])
    losses.sum().backward()
    assert losses.shape == (0,)
    assert [part.shape for part in token_logprobs(hidden[:0], head, targets[:0], 1.0)] == [(0,), (0,)]


def test_far_logits_stay_finite():
    hidden, head = torch.eye(2) * 1e4, torch.eye(2)
    logp, entropy = token_logprobs(hidden, head, torch.tensor([0, 0]), 1.0)
    assert logp.tolist() == [0.0, -1e4] and torch.isfinite(entropy).all()
