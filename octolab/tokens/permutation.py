"""A shuffle that is never stored: a keyed bijection of [0, n) computed one element at a time.

In go positions, the size of the set and a 64-bit key; out come the shuffled positions, in O(1) each and for
any subset, so every worker can compute its own part of an epoch's order. The construction is a Feistel
network (Luby and Rackoff 1988) on the next even number of bits, with cycle walking (Black and Rogaway 2002)
back into [0, n).
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

ROUNDS = 6
"""Four rounds suffice in theory (Luby and Rackoff); two more because small sets have small halves."""


def key_of(*parts: int | str) -> int:
    """Key in [0, 2^64) made of `parts`; the same on every machine and in every process (blake2b)."""
    assert all(type(part) in (int, str) for part in parts), parts
    return int.from_bytes(hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest(), "little")


def permute(index: np.ndarray, n: int, key: int) -> np.ndarray:
    """Where the shuffle `key` of [0, n) sends each of `index` [N] int64 in [0, n); returns [N] int64.

    Over all of [0, n) the result is a permutation. Another key gives another permutation.
    """
    index = np.asarray(index, dtype=np.int64)
    assert n >= 1 and (not index.size or (index.min() >= 0 and index.max() < n))
    half_bits = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half_bits)) - 1)
    keys = [np.uint64(key_of("round", key, i)) for i in range(ROUNDS)]
    limit = np.uint64(n)

    out = _feistel(index.astype(np.uint64), keys, half_bits, mask)
    outside = np.flatnonzero(out >= limit)
    while outside.size:  # the network permutes at most 4n values: walk its cycle until it is back in range
        walked = _feistel(out[outside], keys, half_bits, mask)
        out[outside] = walked
        outside = outside[walked >= limit]
    return out.astype(np.int64)


def _feistel(value: np.ndarray, keys: list[np.uint64], half_bits: np.uint64, mask: np.uint64) -> np.ndarray:
    left, right = value >> half_bits, value & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half_bits) | right


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014); multiplication wraps at 2^64."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
