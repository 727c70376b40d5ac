"""What a rollout step tells about the run's health.

Lengths are given for all, correct, wrong and truncated completions apart: length over correct answers alone
hid a collapse in the published curves (facts, section 6). A mean over nothing is NaN and logged as null.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from octolab.rl.rollouts import Rollout
from octolab.verify import VERDICTS

NGRAM = 4


def mean(values: np.ndarray | list[float]) -> float:
    """Mean, NaN over nothing."""
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()) if values.size else float("nan")


def repetition(ids: list[int]) -> float:
    """Share of a completion's 4-grams that it has already used; 0 where it has none."""
    grams = [tuple(ids[at : at + NGRAM]) for at in range(len(ids) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def rollout_metrics(rollouts: list[Rollout], samples_per_prompt: int) -> dict[str, float]:
    """Rewards, groups, lengths, truncation and verdicts of a step; rollouts come group by group."""
    reward_B = np.array([rollout.reward for rollout in rollouts])
    correct_B = np.array([rollout.verdict.correct for rollout in rollouts])
    length_B = np.array([len(rollout.completion.ids) for rollout in rollouts], dtype=np.float64)
    cut_B = np.array([rollout.completion.finish == "length" for rollout in rollouts])
    verdicts = Counter(rollout.verdict.verdict for rollout in rollouts)
    scored_B = ~np.isnan(reward_B)
    solved_GN = correct_B.reshape(-1, samples_per_prompt)
    right_G = solved_GN.sum(1)
    all_wrong, all_right = right_G == 0, right_G == samples_per_prompt
    return {
        "reward/mean": mean(reward_B[scored_B]),
        "reward/std": float(reward_B[scored_B].std()) if scored_B.any() else float("nan"),
        "accuracy": mean(correct_B),
        "groups/all_wrong": mean(all_wrong),
        "groups/all_right": mean(all_right),
        "groups/mixed": mean(~all_wrong & ~all_right),
        "length/all": mean(length_B),
        "length/min": float(length_B.min()),
        "length/max": float(length_B.max()),
        "length/correct": mean(length_B[correct_B]),
        "length/wrong": mean(length_B[~correct_B]),
        "length/truncated": mean(length_B[cut_B]),
        "length/finished": mean(length_B[~cut_B]),
        "truncated": mean(cut_B),
        "no_answer": verdicts["no_answer"] / len(rollouts),
        "unscorable": float((~scored_B).sum()),
        "repetition": mean([repetition(rollout.completion.ids) for rollout in rollouts]),
        **{f"verdict/{name}": float(verdicts[name]) for name in VERDICTS},
    }


class TokenStats:
    """Token-level numbers of a step, summed over its updates and micro-batches."""

    def __init__(self, clip_low: float, clip_high: float) -> None:
        self.clip_low, self.clip_high = clip_low, clip_high
        self.tokens = self.low = self.high = 0
        self.entropy = self.ratio = 0.0
        self.ratio_max = 0.0
        self.gaps: list[np.ndarray] = []
        self.padded = self.real = 0

    def add(self, rho_N: np.ndarray, advantage_N: np.ndarray, entropy_N: np.ndarray) -> None:
        """Note a micro-batch: clip fractions count only tokens whose clip acts (rule E6)."""
        self.tokens += rho_N.size
        self.low += int(((rho_N < 1 - self.clip_low) & (advantage_N < 0)).sum())
        self.high += int(((rho_N > 1 + self.clip_high) & (advantage_N > 0)).sum())
        self.entropy += float(entropy_N.sum(dtype=np.float64))
        self.ratio += float(rho_N.sum(dtype=np.float64))
        self.ratio_max = max(self.ratio_max, float(rho_N.max(initial=0.0)))

    def add_gap(self, gap_N: np.ndarray) -> None:
        """Note |logp trainer - logp engine| of tokens that both scored with the same weights."""
        self.gaps.append(gap_N)

    def add_shape(self, real: int, padded: int) -> None:
        """Note real and computed positions of a micro-batch."""
        self.real += real
        self.padded += padded

    def metrics(self) -> dict[str, float]:
        """The step's numbers."""
        tokens = max(self.tokens, 1)
        gap_N = np.concatenate(self.gaps) if self.gaps else np.zeros(0)
        return {
            "entropy": self.entropy / tokens,
            "clip/low": self.low / tokens,
            "clip/high": self.high / tokens,
            "ratio/mean": self.ratio / tokens,
            "ratio/max": self.ratio_max,
            "engine_gap/mean": mean(gap_N),
            "engine_gap/max": float(gap_N.max(initial=0.0)),
            "padding": 1 - self.real / max(self.padded, 1),
        }
