"""Near-duplicate removal beside datatrove and Daft: `make peers && python perf/minhash.py`.

Headline: signatures of 110 hashes over 5-grams of words, one thread, of synthetic documents of 540 words (2.9 kB, the
mean of web maths pages), beside datatrove's MinhashDedupSignature without its reading and writing, then beside Daft's
native minhash. datatrove splits at white space too, as ours does. Last: the whole removal of 200,000 documents of 120
words, one in ten nearly a copy, with its memory, beside datatrove's four stages on 4,000 of them (rates are documents
a second).
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import harness

PERMUTATIONS, SHINGLE = 110, 5


def texts(count: int, words: int) -> Iterator[str]:
    """Documents with words by Zipf's law; every tenth repeats the one before it but for a few words."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 8))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    last: list[str] = []
    for number in range(count):
        if number % 10 or not last:
            last = draw.choices(vocabulary, weights, k=words)
        else:
            last = [*last[:-2], "another", "end"]
        yield " ".join(last)


def _peak_mib(reset: bool = False) -> float:
    """Peak resident memory since the last reset (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def ours(case: Mapping[str, Any]) -> dict[str, float]:
    if case["whole"]:
        from octolab.corpus.deduplicate import minhash_dedup
        from octolab.corpus.document import Document

        documents = [Document(str(number), text) for number, text in enumerate(texts(case["ours"], case["words"]))]
        before = _peak_mib(reset=True)
        begun = time.perf_counter()
        kept = sum(isinstance(one, Document) for one in minhash_dedup()(documents))
        seconds = time.perf_counter() - begun
        added = _peak_mib() - before
        return {"rate": len(documents) / seconds, "kept_share": kept / len(documents), "added_mib": added}
    from octolab.corpus.minhash import signatures

    listed = list(texts(case["ours"], case["words"]))
    signatures(listed[:10])
    return {"rate": harness.best_rate(lambda: float(len(signatures(listed))), 5)}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    listed = list(texts(case["peer"], case["words"]))
    return _daft(listed) if case["with"] == "daft" else _datatrove(listed, bool(case["whole"]))


def _daft(listed: list[str]) -> dict[str, float]:
    import daft

    daft.context.set_runner_native(num_threads=1)
    frame = daft.from_pydict({"text": listed})

    def work() -> float:
        frame.with_column("m", daft.col("text").minhash(num_hashes=PERMUTATIONS, ngram_size=SHINGLE)).select(
            "m"
        ).collect()
        return float(len(listed))

    work()
    return {"rate": harness.best_rate(work, 5)}


def _datatrove(listed: list[str], whole: bool) -> dict[str, float]:
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.utils.word_tokenizers import WordTokenizer

    class AtSpaces(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    config = MinhashConfig(n_grams=SHINGLE, num_buckets=11, hashes_per_bucket=10)
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(listed)]
    folder = Path(tempfile.mkdtemp())
    try:
        before = _peak_mib(reset=True)
        signature = MinhashDedupSignature(output_folder=str(folder / "signatures"), config=config, language=AtSpaces())
        if not whole:
            signature.get_signature(signature.get_shingles(listed[0]))
            begun = time.perf_counter()
            for document in documents:
                signature.get_signature(signature.get_shingles(document.text))
            return {"rate": len(documents) / (time.perf_counter() - begun)}
        begun = time.perf_counter()
        signature.run(iter(documents), 0, 1)
        names = {name: str(folder / name) for name in ("signatures", "buckets", "clusters")}
        for bucket in range(config.num_buckets):
            MinhashDedupBuckets(names["signatures"], names["buckets"], config=config).run(
                None, bucket, config.num_buckets
            )
        MinhashDedupCluster(names["buckets"], names["clusters"], config=config).run(None, 0, 1)
        kept = sum(1 for _ in MinhashDedupFilter(names["clusters"]).run(iter(documents), 0, 1))
        added = _peak_mib() - before
        seconds = time.perf_counter() - begun
        return {"rate": len(documents) / seconds, "kept_share": kept / len(documents), "added_mib": added}
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    signing = {"words": 540, "ours": 5000, "whole": False}
    harness.main(
        __file__,
        "MinHash: ours beside datatrove and Daft",
        "documents/s",
        [
            {"name": "signatures, datatrove", "with": "datatrove", "peer": 200, "target": 50.0} | signing,
            {"name": "signatures, Daft", "with": "daft", "peer": 5000, "target": 0.9} | signing,
            {
                "name": "whole, datatrove",
                "with": "datatrove",
                "words": 120,
                "ours": 200_000,
                "peer": 4000,
                "whole": True,
            },
        ],
        {"peer": peer, "ours": ours},
    )
