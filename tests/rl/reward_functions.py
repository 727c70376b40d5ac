"""Rewards that the tests of GRPO name as `reward_functions:...`; they run in the verifier's worker."""

from __future__ import annotations


def begins_early_in_the_alphabet(gold: str, completion: str, mode: str, task: str | None) -> float:
    """1 when the completion's first character is one of a to j."""
    return float(completion[:1] in set("abcdefghij"))


def nothing(gold: str, completion: str, mode: str, task: str | None) -> float:
    """0 whatever was written."""
    return 0.0


def broken_on_x(gold: str, completion: str, mode: str, task: str | None) -> float:
    """Fails on every completion that begins with an upper-case letter, so that it cannot be scored."""
    if completion[:1].isupper():
        raise ValueError("no score")
    return float(completion[:1].islower())


def always_broken(gold: str, completion: str, mode: str, task: str | None) -> float:
    """Fails on everything."""
    raise ValueError("no score")
