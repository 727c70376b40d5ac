"""What a rollout step tells about the run's health.

Lengths are given for all, correct, wrong and truncated completions apart: length over correct answers alone
hid a collapse in the published curves (facts, section 6). Completions that could not be scored are counted and
stand in no accuracy. A mean over nothing is NaN and logged as null.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from octolab.rl.rollouts import Rollout
from octolab.tasks.pass_at_k import pass_at_k, pass_ks
from octolab.verify import VERDICTS

NGRAM = 4
REFLECTION = ("wait", "however", "alternatively", "recheck", "check again", "try again", "mistake")
"""Words that tell of looking back; the share of completions with one is logged (after Open-Reasoner-Zero)."""
OUTSIDE = 2.0
"""An importance weight above this, or below its inverse, counts as out of bounds (rule E8: C = 2)."""


def mean(values: np.ndarray | list[float]) -> float:
    """Mean, NaN over nothing."""
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()) if values.size else float("nan")


def repetition(ids: list[int]) -> float:
    """Share of a completion's 4-grams that it has already used; 0 where it has none."""
    grams = [tuple(ids[at : at + NGRAM]) for at in range(len(ids) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def reflects(text: str) -> bool:
    """Whether a completion has a word of looking back."""
    lowered = text.lower()
    return any(word in lowered for word in REFLECTION)


def rollout_metrics(rollouts: list[Rollout], samples_per_prompt: int) -> dict[str, float]:
    """Rewards, groups, lengths, truncation and verdicts of a step; rollouts come group by group."""
    reward_B = np.array([rollout.reward for rollout in rollouts])
    correct_B = np.array([rollout.verdict.correct for rollout in rollouts])
    length_B = np.array([len(rollout.completion.ids) for rollout in rollouts], dtype=np.float64)
    cut_B = np.array([rollout.completion.finish == "length" for rollout in rollouts])
    verdicts = Counter(rollout.verdict.verdict for rollout in rollouts)
    scored_B = ~np.isnan(reward_B)
    wrong_B = scored_B & ~correct_B
    right_G = correct_B.reshape(-1, samples_per_prompt).sum(1)
    scored_G = scored_B.reshape(-1, samples_per_prompt).sum(1)
    all_wrong, all_right = (right_G == 0) & (scored_G > 0), (right_G == scored_G) & (scored_G > 0)
    groups = [(int(scored), int(right)) for scored, right in zip(scored_G, right_G, strict=True)]
    ks = pass_ks(samples_per_prompt)
    passes = {k: [pass_at_k(scored, right, k) for scored, right in groups if scored >= k] for k in ks}
    return {
        "reward/mean": mean(reward_B[scored_B]),
        "reward/std": float(reward_B[scored_B].std()) if scored_B.any() else float("nan"),
        "accuracy": mean(correct_B[scored_B]),
        **{f"pass_at/{k}": mean(values) for k, values in passes.items()},
        "groups/all_wrong": mean(all_wrong),
        "groups/all_right": mean(all_right),
        "groups/mixed": mean((right_G > 0) & (right_G < scored_G)),
        "length/all": mean(length_B),
        "length/min": float(length_B.min()),
        "length/max": float(length_B.max()),
        "length/correct": mean(length_B[correct_B]),
        "length/wrong": mean(length_B[wrong_B]),
        "length/truncated": mean(length_B[cut_B]),
        "length/finished": mean(length_B[~cut_B]),
        "truncated": mean(cut_B),
        "no_answer": verdicts["no_answer"] / len(rollouts),
        "unscorable": float((~scored_B).sum()),
        "repetition": mean([repetition(rollout.completion.ids) for rollout in rollouts]),
        "reflection": mean([float(reflects(rollout.text)) for rollout in rollouts]),
        **{f"verdict/{name}": float(verdicts[name]) for name in VERDICTS},
    }


class TokenStats:
    """Token-level numbers of a step, summed over its updates and micro-batches."""

    def __init__(self, clip_low: float, clip_high: float) -> None:
        self.clip_low, self.clip_high = clip_low, clip_high
        self.low = self.high = self.padded = self.real = 0
        self.entropy: list[np.ndarray] = []
        self.ratios: list[np.ndarray] = []
        self.log_gaps: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.kl: list[np.ndarray] = []

    def add(self, rho_N: np.ndarray, advantage_N: np.ndarray, entropy_N: np.ndarray) -> None:
        """Note a micro-batch: clip fractions count only tokens whose clip acts (rule E6)."""
        self.low += int(((rho_N < 1 - self.clip_low) & (advantage_N < 0)).sum())
        self.high += int(((rho_N > 1 + self.clip_high) & (advantage_N > 0)).sum())
        self.ratios.append(rho_N)
        self.entropy.append(entropy_N)

    def add_engine(self, old_N: np.ndarray, rollout_N: np.ndarray, same_weights: bool) -> None:
        """Note log-probabilities by trainer (at the start of the step) and engine, and whether the trainer's were
        computed now with the very weights that the engine had."""
        difference_N = old_N.astype(np.float64) - rollout_N
        self.weights.append(np.exp(difference_N))
        if same_weights:
            self.log_gaps.append(difference_N)

    def add_reference(self, k3_N: np.ndarray) -> None:
        """Note the penalty towards the parent."""
        self.kl.append(k3_N)

    def add_shape(self, real: int, padded: int) -> None:
        """Note real and computed positions of a micro-batch."""
        self.real += real
        self.padded += padded

    def gap(self) -> float:
        """Mean |logp trainer - logp engine| under the same weights."""
        return mean(np.abs(_joined(self.log_gaps)))

    def metrics(self) -> dict[str, float]:
        """The step's numbers; `mismatch/k3` estimates KL(engine, trainer), which should be rounding."""
        gap_N, weight_N, rho_N = _joined(self.log_gaps), _joined(self.weights), _joined(self.ratios)
        tokens = max(rho_N.size, 1)
        entropy = mean(_joined(self.entropy))
        mismatch = mean(np.exp(gap_N) - gap_N - 1)
        outside_N = (weight_N > OUTSIDE) | (weight_N < 1 / OUTSIDE)
        return {
            "entropy": entropy,
            "clip/low": self.low / tokens,
            "clip/high": self.high / tokens,
            "ratio/mean": mean(rho_N),
            "ratio/max": float(rho_N.max(initial=0.0)),
            "engine_gap/mean": self.gap(),
            "engine_gap/max": float(np.abs(gap_N).max(initial=0.0)),
            "mismatch/k3": mismatch,
            "mismatch/per_entropy": mismatch / entropy if entropy else float("nan"),
            "importance/mean": mean(weight_N),
            "importance/max": float(weight_N.max(initial=0.0)),
            "importance/effective_share": effective_share(weight_N),
            "importance/outside": mean(outside_N),
            "kl": mean(_joined(self.kl)),
            "padding": 1 - self.real / max(self.padded, 1),
            "positions": float(self.real),
        }


def effective_share(weight_N: np.ndarray) -> float:
    """Effective sample size of importance weights, (sum w)^2 / sum w^2, as a share of their number."""
    return float(weight_N.sum() ** 2 / (weight_N**2).sum() / weight_N.size) if weight_N.size else float("nan")


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
