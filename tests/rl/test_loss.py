"""The objective against a second, slow writing of itself, fixed numbers, finite differences and its own laws.

`slow_objective` is plain Python over rows of floats: no masks, no flat tensors, no weights fixed beforehand.
TRL's loss is the oracle of `test_loss_trl.py`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from octolab.recipe.stages import LengthStep
from octolab.rl.advantage import group_advantages
from octolab.rl.length_schedule import final_max_tokens
from octolab.rl.loss import clipped_loss, importance_weights, k3, policy_loss, ratio, row_weights

Rows = list[list[float]]
AGGREGATIONS = ["token", "sequence", "constant"]
CLIP = {"clip_low": 0.2, "clip_high": 0.28}
BETA, CAP, MAX_TOKENS = 0.04, 2.0, 8


def slow_objective(
    logp: Rows,
    old: Rows,
    advantage: list[float],
    aggregation: str,
    *,
    reference: Rows | None = None,
    rollout: Rows | None = None,
) -> float:
    """The loss of one optimizer step by the rules E6 and E8 to E10, with KL and TIS where their inputs are given."""
    per_row: Rows = []
    for row, values in enumerate(logp):
        losses = []
        for t, value in enumerate(values):
            rho = math.exp(value - old[row][t])
            clipped = min(max(rho, 1 - CLIP["clip_low"]), 1 + CLIP["clip_high"])
            loss = -min(advantage[row] * rho, advantage[row] * clipped)
            if rollout is not None:
                loss *= min(math.exp(old[row][t] - rollout[row][t]), CAP)
            if reference is not None:
                d = reference[row][t] - value
                loss += BETA * (math.exp(d) - d - 1)
            losses.append(loss)
        per_row.append(losses)
    total = sum(sum(losses) for losses in per_row)
    rows = sum(1 for losses in per_row if losses)
    if aggregation == "token":
        return total / sum(len(losses) for losses in per_row)
    if aggregation == "sequence":
        return sum(sum(losses) / len(losses) for losses in per_row if losses) / rows
    return total / (rows * MAX_TOKENS)


def flat(rows: Rows, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Rows of different lengths as one flat tensor [N]."""
    return torch.tensor([value for row in rows for value in row], dtype=dtype)


def ours(
    logp: Rows | torch.Tensor,
    old: Rows,
    advantage: list[float],
    aggregation: Any,
    *,
    reference: Rows | None = None,
    rollout: Rows | None = None,
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """The same through `row_weights` and `policy_loss`; `logp` may be a flat tensor that wants a gradient."""
    row_N = np.repeat(np.arange(len(old)), [len(row) for row in old])
    weight_B = row_weights(np.array([len(row) for row in old]), aggregation, MAX_TOKENS)
    old_N = flat(old, dtype)
    return policy_loss(
        logp if isinstance(logp, torch.Tensor) else flat(logp, dtype),
        old_N,
        torch.tensor(np.array(advantage)[row_N], dtype=dtype),
        torch.tensor(weight_B[row_N], dtype=dtype),
        importance_N=None if rollout is None else importance_weights(old_N, flat(rollout, dtype), CAP),
        reference_N=None if reference is None else flat(reference, dtype),
        kl_beta=0.0 if reference is None else BETA,
        **CLIP,
    )


# -- fixed numbers --------------------------------------------------------------------------------------------

# Two groups of two completions with 3, 1, 4 and 2 tokens; both clips, the cap of TIS and the penalty act.
LOGP = [[-0.5, -1.25, -2.0], [-0.75], [-3.0, -0.125, -1.5, -0.25], [-1.0, -2.5]]
OLD = [[-0.6, -1.0, -2.75], [-0.5], [-2.875, -0.125, -1.0, -0.75], [-1.125, -2.125]]
REFERENCE = [[-0.5, -1.5, -1.5], [-1.25], [-2.5, -0.25, -1.5, -0.375], [-0.875, -3.0]]
ROLLOUT = [[-0.625, -1.0, -4.0], [-0.5], [-2.75, -0.25, -1.125, -0.75], [-1.125, -2.0]]
ADVANTAGE = [0.5, -0.5, 1.25, -1.25]
EXTRAS: dict[str, dict[str, Rows]] = {
    "": {},
    " + k3": {"reference": REFERENCE},
    " + TIS": {"rollout": ROLLOUT},
    " + TIS + k3": {"reference": REFERENCE, "rollout": ROLLOUT},
}
TABLE = {
    "token": -0.34768347371115293,
    "sequence": -0.02423298672723989,
    "constant": -0.10865108553473529,
    "token + k3": -0.34543368610262115,
    "token + TIS": -0.4386090292812492,
    "token + TIS + k3": -0.4363592416727172,
    "sequence + TIS + k3": -0.09939043850656881,
}


@pytest.mark.parametrize(("name", "value"), TABLE.items())
def test_fixed_table(name, value):
    aggregation, _, _ = name.partition(" ")
    extras = EXTRAS[name.removeprefix(aggregation)]
    assert slow_objective(LOGP, OLD, ADVANTAGE, aggregation, **extras) == pytest.approx(value, abs=1e-12)
    assert float(ours(LOGP, OLD, ADVANTAGE, aggregation, **extras)) == pytest.approx(value, abs=1e-12)
    single = float(ours(LOGP, OLD, ADVANTAGE, aggregation, **extras, dtype=torch.float32))
    assert single == pytest.approx(value, abs=1e-6)


GOLDEN = {
    "token": "token-mean (DAPO)           vs TRL dapo",
    "sequence": "seq-mean (GRPO)             vs TRL grpo",
    "constant": "const (Dr.GRPO)             vs TRL dr_grpo",
    "token + k3": "token + k3                  vs TRL dapo beta",
    "token + TIS": "token + TIS                 vs TRL importance_sampling_ratio",
    "token + TIS + k3": "token + TIS + k3: KL not IS-weighted vs TRL",
}


@pytest.mark.parametrize(("name", "label"), GOLDEN.items())
def test_golden_values(test_data, name, label):
    """Values on which five code bases agree (clip 0.2 / 0.28, beta 0.04, C 2, L_max 8, std advantages)."""
    file = test_data.parent / "facts" / "rl_golden.json"
    if not file.exists():
        pytest.skip(f"golden tensors are absent: {file}")
    golden = json.loads(file.read_text())
    cut = {
        field: [row[:length] for row, length in zip(golden[field], golden["lens"], strict=True)]
        for field in ("logp", "old", "ref", "rollout")
    }
    advantage = group_advantages(np.array(golden["rewards"]).reshape(2, 4), "std").ravel().tolist()
    aggregation, _, _ = name.partition(" ")
    extras = {"reference": cut["ref"]} if "k3" in name else {}
    extras |= {"rollout": cut["rollout"]} if "TIS" in name else {}
    loss = ours(cut["logp"], cut["old"], advantage, aggregation, **extras, dtype=torch.float32)
    assert float(loss) == pytest.approx(dict(golden["rows"])[label], abs=1e-6)


# -- random inputs --------------------------------------------------------------------------------------------

LOGPS = st.floats(-4.0, -0.01)


@st.composite
def steps(draw: Any) -> dict[str, Any]:
    """Ragged tensors of an optimizer step; some rows may have no token."""
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any))
    table = {name: [[draw(LOGPS) for _ in range(n)] for n in lengths] for name in ("logp", "old", "ref", "mu")}
    return table | {"advantage": [draw(st.floats(-2, 2)) for _ in lengths]}


@settings(max_examples=60)
@given(steps(), st.sampled_from(AGGREGATIONS), st.booleans(), st.booleans())
def test_equals_the_slow_reference(step, aggregation, with_kl, with_tis):
    extras = ({"reference": step["ref"]} if with_kl else {}) | ({"rollout": step["mu"]} if with_tis else {})
    args = (step["logp"], step["old"], step["advantage"], aggregation)
    assert float(ours(*args, **extras)) == pytest.approx(slow_objective(*args, **extras), rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(steps(), st.sampled_from(AGGREGATIONS), st.data())
def test_order_and_split_of_rows_change_nothing(step, aggregation, data):
    """Weights are fixed over the whole step, so any order and any cut into micro-batches sums to the same."""
    lengths = np.array([len(row) for row in step["old"]])
    weight_B = row_weights(lengths, aggregation, MAX_TOKENS)

    def part(rows: list[int]) -> torch.Tensor:
        row_N = np.repeat(rows, lengths[rows])
        take = {name: flat([step[name][row] for row in rows]) for name in ("logp", "old", "ref", "mu")}
        return policy_loss(
            take["logp"],
            take["old"],
            torch.tensor(np.array(step["advantage"])[row_N], dtype=torch.float64),
            torch.tensor(weight_B[row_N]),
            importance_N=importance_weights(take["old"], take["mu"], CAP),
            reference_N=take["ref"],
            kl_beta=BETA,
            **CLIP,
        )

    order = data.draw(st.permutations(range(len(lengths))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    parts = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    together = float(part(list(range(len(lengths)))))
    assert sum(float(part(rows)) for rows in parts if rows) == pytest.approx(together, rel=1e-9, abs=1e-9)


def test_local_denominators_would_give_another_loss():
    """What the fixed weights protect against: the mean over micro-batches of each one's own token mean."""
    whole = float(ours(LOGP, OLD, ADVANTAGE, "token"))
    halves = [float(ours(LOGP[a:b], OLD[a:b], ADVANTAGE[a:b], "token")) for a, b in ((0, 3), (3, 4))]
    assert abs(sum(halves) / 2 - whole) > 0.1


# -- weights --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
def test_weights_of_an_optimizer_step_sum_to_one(lengths):
    lengths_B = np.array(lengths)
    rows = (lengths_B > 0).sum()
    assert (row_weights(lengths_B, "token", 99) * lengths_B).sum() == pytest.approx(1)
    per_row = row_weights(lengths_B, "sequence", 99) * lengths_B
    np.testing.assert_allclose(per_row[lengths_B > 0], 1 / rows)
    assert (row_weights(lengths_B, "constant", 99) * lengths_B).sum() == pytest.approx(lengths_B.sum() / rows / 99)


def test_constant_does_not_follow_the_length_schedule():
    """L_max is the schedule's last cap at every step: else the loss would be rescaled when the cap rises."""
    caps = [LengthStep(step=0, max_tokens=2048), LengthStep(step=100, max_tokens=8192)]
    weights = row_weights(np.array([2048, 100]), "constant", final_max_tokens(caps))
    assert weights.tolist() == [1 / (2 * 8192)] * 2
    assert row_weights(np.array([5000, 1]), "constant", final_max_tokens(caps)).tolist() == weights.tolist()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_step_without_tokens_is_zero_and_runs_backward(aggregation):
    weight_B = row_weights(np.array([0, 0]), aggregation, MAX_TOKENS)
    assert np.isfinite(weight_B).all()
    logp = torch.zeros(0, requires_grad=True)
    loss = policy_loss(logp, logp.detach(), logp.detach(), logp.detach(), **CLIP)
    loss.backward()
    assert loss.item() == 0.0 and logp.grad is not None


# -- gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("extra", ["", " + k3", " + TIS", " + TIS + k3"])
def test_gradient_with_respect_to_logits(aggregation, extra):
    """Finite differences through log-softmax over a vocabulary of five, with clipped and unclipped tokens."""
    torch.manual_seed(0)
    logits_NV = torch.randn(10, 5, dtype=torch.float64)
    target_N = torch.randint(0, 5, (10,))
    offset_N = torch.tensor([0.5, 0.05, -0.5, 0.1, 0.6, -0.05, -0.6, 0.02, 0.4, -0.4], dtype=torch.float64)

    def pick(logits: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1).gather(-1, target_N[:, None]).squeeze(-1)

    flat_old = (pick(logits_NV) - offset_N).tolist()
    old = [flat_old[0:3], flat_old[3:4], flat_old[4:8], flat_old[8:10]]
    rho_N = offset_N.exp()
    assert (rho_N > 1.28).any() and (rho_N < 0.8).any() and ((rho_N > 0.8) & (rho_N < 1.28)).any()

    def loss(logits: torch.Tensor) -> torch.Tensor:
        return ours(pick(logits), old, ADVANTAGE, aggregation, **EXTRAS[extra])

    assert torch.autograd.gradcheck(loss, logits_NV.clone().requires_grad_())


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_on_policy_detach_gives_the_reinforce_gradient(aggregation):
    logp = flat(LOGP).requires_grad_()
    lengths = np.array([len(row) for row in LOGP])
    row_N = np.repeat(np.arange(4), lengths)
    weight_N = torch.tensor(row_weights(lengths, aggregation, MAX_TOKENS)[row_N])
    advantage_N = torch.tensor(np.array(ADVANTAGE)[row_N])
    rho = ratio(logp, logp.detach())
    assert (rho == 1).all()
    policy_loss(logp, logp.detach(), advantage_N, weight_N, **CLIP).backward()
    assert torch.equal(logp.grad, -weight_N * advantage_N)


def test_clipping_stops_the_gradient_only_where_it_would_push_further():
    """rho above 1.28 with A > 0 and below 0.8 with A < 0 stand still; the other two corners are pulled back."""
    log_rho = torch.log(torch.tensor([1.5, 0.5, 1.5, 0.5], dtype=torch.float64)).requires_grad_()
    advantage = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64)
    loss = clipped_loss(ratio(log_rho, torch.zeros(4, dtype=torch.float64)), advantage, **CLIP)
    torch.testing.assert_close(loss, torch.tensor([-1.28, 0.8, 1.5, -0.5], dtype=torch.float64))
    loss.sum().backward()
    torch.testing.assert_close(log_rho.grad, torch.tensor([0.0, 0.0, 1.5, -0.5], dtype=torch.float64))


def test_importance_weight_and_penalty_carry_no_foreign_gradient():
    """The importance weight is a constant, multiplies the policy term only, and leaves the penalty alone."""
    old = flat(OLD).requires_grad_()
    assert not importance_weights(old, flat(ROLLOUT), CAP).requires_grad
    no_advantage = [0.0] * 4
    with_tis = ours(LOGP, OLD, no_advantage, "token", reference=REFERENCE, rollout=ROLLOUT)
    without = ours(LOGP, OLD, no_advantage, "token", reference=REFERENCE)
    assert float(with_tis) == float(without) > 0, "the penalty acts on groups without advantage, unweighted"


def test_penalty_is_zero_at_the_reference_and_positive_elsewhere():
    logp = flat(LOGP).requires_grad_()
    penalty = k3(logp, flat(LOGP))
    penalty.sum().backward()
    assert not penalty.any() and not logp.grad.any()
    assert (k3(flat(LOGP), flat(LOGP) + 0.3) > 0).all() and (k3(flat(LOGP), flat(LOGP) - 0.3) > 0).all()


def test_far_ratios_stay_finite():
    """Log-ratios are held at +-20, so a token that became impossible cannot make the loss infinite."""
    logp = torch.tensor([-200.0, 0.0, -1.0], requires_grad=True)
    other = torch.tensor([0.0, -200.0, -1.0])
    loss = policy_loss(
        logp, other, torch.tensor([1.0, -1.0, 1.0]), torch.ones(3), **CLIP,
        importance_N=importance_weights(other, logp.detach(), CAP), reference_N=other, kl_beta=BETA,
    )  # fmt: skip
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logp.grad).all()
    assert ratio(logp[1:2], other[1:2]).item() == pytest.approx(math.exp(20), rel=1e-5)
