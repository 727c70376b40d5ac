r"""MinHash signatures and the clusters of nearly equal texts.

In go texts, out come signatures: for each of 110 random permutations the smallest hash among the text's 5-grams of
words. Two texts agree in one entry with a probability that is their Jaccard similarity S (Broder 1997). Signatures are
cut into 11 bands of 10 entries; texts that share a whole band, which happens with probability 1 - (1 - S^10)^11, are
linked, and linked texts are a cluster. 11 x 10 is MegaMath's choice (its ablation; one half at S = 0.756).
Numbers are not normalised: "48 clips" and "973 clips" are different problems.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from octolab.corpus.native import library

BANDS, ROWS, SHINGLE = 11, 10, 5

Signatures = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.uint64]


def permutations(count: int, seed: int = 1) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Odd multipliers and addends of `count` permutations h -> a h + b modulo 2^32. Shapes (count,)."""
    numbers = np.random.Generator(np.random.PCG64(seed))
    a = numbers.integers(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, numbers.integers(0, 2**32, count, dtype=np.uint32)


def signatures(texts: Sequence[str], shingle: int = SHINGLE, count: int = BANDS * ROWS, threads: int = 1) -> Signatures:
    """Signatures of texts. Shape (len(texts), count); the same bits with and without the compiled code."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    compiled = library("minhash")
    if compiled is None:
        return _in_numpy(encoded, shingle, count)
    parts = np.array_split(np.arange(len(encoded)), max(1, threads))
    with ThreadPoolExecutor(max(1, threads)) as pool:
        done = pool.map(lambda part: _compiled(compiled, [encoded[i] for i in part], shingle, count), parts)
        return np.concatenate(list(done))


def _compiled(compiled: ctypes.CDLL, texts: Sequence[bytes], shingle: int, count: int) -> Signatures:
    a, b = permutations(count)
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), dtype=np.int64)
    out = np.empty((len(texts), count), np.uint32)
    compiled.octolab_minhash(
        ctypes.c_char_p(b"".join(texts)),
        ctypes.c_void_p(ends.ctypes.data),
        ctypes.c_int64(len(texts)),
        ctypes.c_int32(shingle),
        ctypes.c_void_p(a.ctypes.data),
        ctypes.c_void_p(b.ctypes.data),
        ctypes.c_int32(count),
        ctypes.c_void_p(out.ctypes.data),
    )
    return out


def _in_numpy(texts: Sequence[bytes], shingle: int, count: int) -> Signatures:
    """The same in NumPy, much slower: for machines without a compiler, and as the test's oracle."""
    a, b = permutations(count)
    out = np.full((len(texts), count), 0xFFFFFFFF, np.uint32)
    with np.errstate(over="ignore"):
        for row, text in enumerate(texts):
            words = np.array([_word_hash(word) for word in _words(text)], np.uint64)
            if not len(words):
                continue
            run = min(shingle, len(words))
            state = np.zeros(len(words) - run + 1, np.uint64)
            for k in range(run):
                state = state * np.uint64(0x9E3779B97F4A7C15) + words[k : k + len(state)]
            hashes = _mix(state).astype(np.uint32)
            for start in range(0, len(hashes), 512):
                block = hashes[start : start + 512, None] * a + b
                np.minimum(out[row], block.min(axis=0), out=out[row])
    return out


_SPACES = bytes(range(33))
_TO_SPACE = bytes.maketrans(_SPACES, b" " * len(_SPACES))
_MASK = 0xFFFFFFFFFFFFFFFF


def _words(text: bytes) -> list[bytes]:
    return [word.lower() for word in text.translate(_TO_SPACE).split(b" ") if word]


def _word_hash(word: bytes) -> int:
    state = 0x9E3779B97F4A7C15 ^ len(word)
    for start in range(0, len(word), 8):
        state = ((state ^ int.from_bytes(word[start : start + 8], "little")) * 0xD6E8FEB86659FD93) & _MASK
        state ^= state >> 32
    return state


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def band_keys(found: Signatures, bands: int = BANDS) -> Keys:
    """One 64-bit key a band. Shape (bands, documents); equal keys mean equal bands."""
    documents, count = found.shape
    keys = np.zeros((bands, documents), np.uint64)
    with np.errstate(over="ignore"):
        for band, part in enumerate(np.split(found[:, : count // bands * bands], bands, axis=1)):
            for column in range(part.shape[1]):
                keys[band] = keys[band] * np.uint64(0xD6E8FEB86659FD93) + part[:, column].astype(np.uint64)
            keys[band] = _mix(keys[band])
    return keys


def clusters(bands: Iterable[Keys], documents: int) -> npt.NDArray[np.int64]:
    """The smallest document number of each document's cluster. Shape (documents,); does not depend on band order.

    bands: the keys of one band at a time, each of shape (documents,). Memory: one band, its sort order and the labels,
    24 bytes a document.
    """
    parent = np.arange(documents, dtype=np.int64)
    for keys in bands:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
        _join(parent, order[1:][same], order[:-1][same])
    return _roots(parent)


def _join(parent: npt.NDArray[np.int64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
    """Union of the pairs: hook larger roots to smaller ones, halve the paths, until nothing changes."""
    while len(left):
        parent[:] = _roots(parent)
        a, b = parent[left], parent[right]
        apart = a != b
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))


def _roots(parent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return above
        parent = above
