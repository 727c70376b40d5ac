"""AdamW as the paper uses it: weight decay on matrices, none on norms and biases; a guard around the step.

`guarded_step` is E15 of the RL rules and the trainer's guard in one: clip the global gradient, and where its
norm is not finite leave weights and moments untouched, so that one bad batch is counted and not learnt.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from octolab.errors import UserError


def make_optimizer(model: nn.Module, weight_decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW over the model's weights, moments in the weights' own fp32."""
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    plain = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=1e-8, fused=True)


def guarded_step(optimizer: torch.optim.Optimizer, model: nn.Module, lr: float, clip: float) -> float:
    """Clip, step unless the gradient is not finite, clear the gradients; returns the norm before clipping."""
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip))
    if math.isfinite(norm):
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


class StepGuard:
    """Counts skipped steps and ends a run that keeps producing them."""

    LIMIT = 5
    """Skipped steps in a row after which training cannot recover by itself."""

    def __init__(self, remedy: str, skipped: int = 0) -> None:
        self.remedy = remedy
        self.skipped = skipped
        self.in_a_row = 0

    def see(self, step: int, *values: float) -> bool:
        """Note a step's loss and gradient norm; true if the step was skipped.

        Raises:
            UserError: too many steps in a row were not finite.
        """
        if all(math.isfinite(value) for value in values):
            self.in_a_row = 0
            return False
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= self.LIMIT:
            raise UserError(
                f"loss or gradient was NaN or infinite {self.LIMIT} steps in a row, last at step {step}; "
                f"{self.remedy} (the last checkpoint is kept)"
            )
        return True
