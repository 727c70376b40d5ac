"""Near-duplicates: signatures against NumPy and against Jaccard, clusters against a graph walk, the keep rule."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octolab.corpus import minhash
from octolab.corpus.deduplicate import NEAR, minhash_dedup
from octolab.corpus.document import Document, Dropped
from octolab.corpus.native import library

needs_compiler = pytest.mark.skipif(library("minhash") is None, reason="no C++ compiler")


def sentence(draw: random.Random, words: int) -> list[str]:
    return [f"w{draw.randrange(4000)}" for _ in range(words)]


@needs_compiler
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=120), max_size=6), shingle=st.integers(1, 6), count=st.integers(1, 70))
def test_compiled_and_numpy_signatures_are_the_same_bits(texts: list[str], shingle: int, count: int) -> None:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    if texts:
        ours = minhash.signatures(texts, shingle, count)
        assert np.array_equal(ours, minhash._in_numpy(encoded, shingle, count))
        assert np.array_equal(ours, minhash.signatures(texts, shingle, count, threads=2))


def test_agreement_estimates_jaccard() -> None:
    draw = random.Random(0)
    for share in (0.0, 0.5, 0.9, 1.0):
        estimates, truths = [], []
        for _ in range(30):
            a = sentence(draw, 300)
            b = a[: int(300 * share)] + sentence(draw, 300 - int(300 * share))
            x, y = ({tuple(words[i : i + 5]) for i in range(296)} for words in (a, b))
            truths.append(len(x & y) / len(x | y))
            first, second = minhash.signatures([" ".join(a), " ".join(b)])
            estimates.append(float((first == second).mean()))
        # The mean of 30 estimates of 110 entries each: standard error below 0.01.
        assert abs(np.mean(estimates) - np.mean(truths)) < 0.03


def test_case_and_white_space_do_not_count_and_numbers_do() -> None:
    texts = ["There are 48 clips in\nthe box", "there  ARE 48 clips in the box ", "There are 973 clips in the box"]
    a, b, c = minhash.signatures(texts)
    assert np.array_equal(a, b) and not np.array_equal(a, c)


@given(
    keys=st.lists(st.lists(st.integers(0, 8), min_size=12, max_size=12), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_clusters_are_the_connected_components(keys: list[list[int]], order: random.Random) -> None:
    bands = [np.array(row, np.uint64) for row in keys]
    found = minhash.clusters(bands, 12)
    reached = {i: {i} for i in range(12)}
    for _ in range(12):
        for row in keys:
            for i in range(12):
                for j in range(12):
                    if row[i] == row[j]:
                        reached[i] |= reached[j]
    assert found.tolist() == [min(reached[i]) for i in range(12)]
    order.shuffle(bands)
    assert np.array_equal(minhash.clusters(bands, 12), found)


def run(documents: list[Document], **settings: object) -> tuple[list[str], dict[str, str]]:
    out = list(minhash_dedup(**settings)(documents))  # type: ignore[arg-type]
    kept = [one.id for one in out if isinstance(one, Document)]
    return kept, {one.id: one.excerpt.split(":")[0] for one in out if isinstance(one, Dropped)}


def test_near_duplicates_go_and_the_best_stays_whatever_the_order() -> None:
    draw = random.Random(1)
    base = sentence(draw, 400)
    documents = [Document(f"other{i}", " ".join(sentence(draw, 200))) for i in range(40)]
    changed = [*base[:200], "typo", *base[201:]]
    documents += [
        Document("short", " ".join(base[:395])),
        Document("long", " ".join([*base, "and", "more"])),
        Document("good", " ".join(changed), {"score": 4.5}),
    ]
    for _ in range(3):
        kept, dropped = run(documents)
        assert sorted(kept) == sorted(one.id for one in documents if one.id not in ("short", "long"))
        assert dropped == {"short": "good", "long": "good"}
        assert [one.id for one in documents if one.id in kept] == kept  # in the order of the documents
        draw.shuffle(documents)
    kept, dropped = run(documents, quality="nothing")
    assert dropped == {"short": "long", "good": "long"}


def test_templates_with_other_numbers_stay() -> None:
    template = "Natalia sold {} clips in April and half as many in May, and then {} more in June at {} dollars each"
    kept, _ = run([Document(str(i), template.format(i * 7, i * 13, i + 5)) for i in range(20)])
    assert len(kept) == 20


def test_empty_and_tiny_corpora() -> None:
    assert run([]) == ([], {})
    assert run([Document("a", "one")]) == (["a"], {})
    kept, dropped = run([Document("a", "one two"), Document("b", "one two"), Document("c", "one three")])
    assert sorted([*kept, *dropped]) == ["a", "b", "c"] and len(dropped) == 1 and "c" in kept
    assert list(minhash_dedup()([Document("a", "x y"), Document("b", "x y")]))[1].reason == NEAR  # type: ignore[union-attr]
