"""The guard around the optimizer: a bad gradient leaves no trace, and too many of them end the run."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from octolab.errors import UserError
from octolab.midtrain.optimizer import StepGuard, guarded_step, make_optimizer


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))


def backward(model: nn.Module, scale: float = 1.0) -> None:
    torch.manual_seed(1)
    (model(torch.randn(5, 4)).pow(2).sum() * scale).backward()


def snapshot(model: nn.Module, optimizer: torch.optim.AdamW) -> list[torch.Tensor]:
    tensors = [weight.detach().clone() for weight in model.parameters()]
    for weight in model.parameters():
        tensors += [value.clone() for _, value in sorted(optimizer.state[weight].items())]
    return tensors


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_gradient_leaves_weights_and_moments_as_they_were(model, bad):
    optimizer = make_optimizer(model, 0.1, (0.9, 0.95))
    backward(model)
    guarded_step(optimizer, model, 1e-2, 1.0)
    before = snapshot(model, optimizer)
    backward(model)
    next(model.parameters()).grad[0, 0] = bad
    norm = guarded_step(optimizer, model, 1e-2, 1.0)
    assert not math.isfinite(norm)
    assert all(torch.equal(a, b) for a, b in zip(before, snapshot(model, optimizer), strict=True))
    assert all(weight.grad is None for weight in model.parameters()), "the bad gradient is gone"
    backward(model)
    assert math.isfinite(guarded_step(optimizer, model, 1e-2, 1.0))
    assert not any(torch.equal(a, b) for a, b in zip(before, snapshot(model, optimizer), strict=True))


def test_clips_the_norm_over_all_weights(model):
    """Without momentum or scaling (plain SGD) the step is the gradient at norm 1; the norm returned is unclipped."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    backward(model, 100.0)
    gradients = [weight.grad.clone() for weight in model.parameters()]
    norm = math.sqrt(sum(float(gradient.pow(2).sum()) for gradient in gradients))
    before = [weight.detach().clone() for weight in model.parameters()]
    assert norm > 10 and guarded_step(optimizer, model, 0.5, 1.0) == pytest.approx(norm, rel=1e-5)
    for weight, old, gradient in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(old - weight, 0.5 * gradient / norm, atol=1e-6, rtol=1e-4)


def test_decays_matrices_only(model):
    """With zero gradients only the decay moves a weight."""
    optimizer = make_optimizer(model, 0.1, (0.9, 0.95))
    before = [weight.detach().clone() for weight in model.parameters()]
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    guarded_step(optimizer, model, 0.5, 1.0)
    for weight, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old * (1 - 0.5 * 0.1) if weight.ndim > 1 else old)


def test_the_rate_is_the_one_given(model):
    optimizer = make_optimizer(model, 0.0, (0.9, 0.95))
    for rate in (0.3, 0.1):
        backward(model)
        guarded_step(optimizer, model, rate, 1.0)
        assert {group["lr"] for group in optimizer.param_groups} == {rate}


class TestStepGuard:
    def test_ends_a_run_of_bad_steps(self):
        guard = StepGuard("lower the rate")
        for step in range(1, StepGuard.LIMIT):
            assert guard.see(step, math.nan, 1.0)
        with pytest.raises(UserError, match=rf"step {StepGuard.LIMIT}; lower the rate"):
            guard.see(StepGuard.LIMIT, 1.0, math.inf)

    def test_a_good_step_starts_the_count_anew(self):
        guard = StepGuard("y")
        for _ in range(10):
            assert all(guard.see(0, math.nan) for _ in range(StepGuard.LIMIT - 1))
            assert not guard.see(0, 2.0, 0.5)
        assert guard.skipped == 10 * (StepGuard.LIMIT - 1), "every skipped step is counted"

    def test_counts_on_after_a_resume(self):
        guard = StepGuard("y", skipped=3)
        guard.see(1, math.inf)
        assert guard.skipped == 4
