"""TRL's own loss as oracle: its `_compute_loss` is called on our log-probabilities and must agree.

The method runs unbound on a stub that holds the settings it reads and returns our tensors where the trainer
would run its model; whatever TRL computes from there on is TRL's.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from octolab.rl.loss import importance_weights, policy_loss, row_weights

pytest.importorskip("trl", reason="TRL is in the extra `test`")

ROWS, LENGTH, CAP, CLIP_LOW, CLIP_HIGH = 8, 12, 2.0, 0.2, 0.28
LOSS_TYPES = {"token": "dapo", "sequence": "grpo", "constant": "dr_grpo"}


def trl_loss(data: dict[str, torch.Tensor], aggregation: str, beta: float, tis: bool) -> torch.Tensor:
    """The loss of one step whose only micro-batch is `data` (tensors [B, T])."""
    from trl import GRPOTrainer

    stub = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (data["logp"], torch.zeros_like(data["logp"]), None),
        loss_type=LOSS_TYPES[aggregation],
        beta=beta,
        epsilon_low=CLIP_LOW,
        epsilon_high=CLIP_HIGH,
        use_vllm=tis,
        vllm_importance_sampling_correction=tis,
        importance_sampling_level="token",
        max_completion_length=LENGTH,
        current_gradient_accumulation_steps=1,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    mask = data["mask"]
    inputs = {
        "prompt_ids": torch.zeros(ROWS, 1, dtype=torch.long),
        "prompt_mask": torch.ones(ROWS, 1, dtype=torch.long),
        "completion_ids": torch.zeros(ROWS, LENGTH, dtype=torch.long),
        "completion_mask": mask.long(),
        "advantages": data["advantage"],
        "old_per_token_logps": data.get("old"),
        "ref_per_token_logps": data["ref"],
        "importance_sampling_ratio": (data["tis_old"] - data["mu"]).exp().clamp(max=CAP),
        "num_items_in_batch": mask.sum(),
    }
    return GRPOTrainer._compute_loss(stub, None, inputs)  # type: ignore[arg-type]


def our_loss(data: dict[str, torch.Tensor], aggregation: Any, beta: float, tis: bool) -> torch.Tensor:
    mask = data["mask"]
    row_N = mask.nonzero()[:, 0]
    weight_B = torch.tensor(row_weights(mask.sum(1).numpy(), aggregation, LENGTH))
    logp_N = data["logp"][mask]
    old_N = data["old"][mask] if "old" in data else logp_N.detach()
    return policy_loss(
        logp_N,
        old_N,
        data["advantage"][row_N],
        weight_B[row_N],
        clip_low=CLIP_LOW,
        clip_high=CLIP_HIGH,
        importance_N=importance_weights(old_N, data["mu"][mask], CAP) if tis else None,
        reference_N=data["ref"][mask] if beta else None,
        kl_beta=beta,
    )


def ragged(seed: int, on_policy: bool) -> dict[str, torch.Tensor]:
    """Random log-probabilities [B, T] with clipped ratios and capped weights, ragged lengths from 1 to T."""
    generator = torch.Generator().manual_seed(seed)

    def noise(scale: float) -> torch.Tensor:
        return scale * torch.randn(ROWS, LENGTH, generator=generator, dtype=torch.float64)

    logp = -noise(1.5).abs() - 0.05
    lengths = torch.tensor(np.random.default_rng(seed).permutation([1, LENGTH, 2, 5, 7, 3, 9, 4]))
    old = logp if on_policy else logp + noise(0.4)
    data = {
        "logp": logp.clone().requires_grad_(),
        "ref": logp + noise(0.3),
        "mu": old + noise(0.6),
        "tis_old": old,
        "mask": torch.arange(LENGTH) < lengths[:, None],
        "advantage": torch.randn(ROWS, generator=generator, dtype=torch.float64),
    }
    return data if on_policy else data | {"old": old}


@pytest.mark.parametrize("on_policy", [False, True], ids=["off-policy", "on-policy"])
@pytest.mark.parametrize("tis", [False, True], ids=["", "tis"])
@pytest.mark.parametrize("beta", [0.0, 0.04], ids=["", "kl"])
@pytest.mark.parametrize("aggregation", LOSS_TYPES)
def test_loss_and_gradient_equal_trl(aggregation, beta, tis, on_policy):
    for seed in range(3):
        theirs, mine = ragged(seed, on_policy), ragged(seed, on_policy)
        trl = trl_loss(theirs, aggregation, beta, tis)
        trl.backward()
        loss = our_loss(mine, aggregation, beta, tis)
        loss.backward()
        torch.testing.assert_close(loss, trl, atol=1e-6, rtol=0)
        torch.testing.assert_close(mine["logp"].grad, theirs["logp"].grad, atol=1e-6, rtol=0)
        assert theirs["logp"].grad.any() and not theirs["logp"].grad[~theirs["mask"]].any()
        if not on_policy:
            rho = (mine["logp"] - mine["old"]).exp()
            assert (rho > 1 + CLIP_HIGH).any() and (rho < 1 - CLIP_LOW).any(), "the clips must act to be compared"


def test_stub_reads_what_it_is_given():
    """A different setting changes TRL's number: the comparison is not one of two constants."""
    values = {
        (aggregation, beta, tis): trl_loss(ragged(0, False), aggregation, beta, tis).item()
        for aggregation in LOSS_TYPES
        for beta in (0.0, 0.04)
        for tis in (False, True)
    }
    assert len({round(value, 9) for value in values.values()}) == 12
