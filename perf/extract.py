"""Extraction of web pages: `make peers && python perf/extract.py`.

Speed: pages without mathematics beside resiliparse alone (ours calls it after one look at the page), and mathematics
pages beside trafilatura, in pages a second. Fidelity, for each page of the ground truth: share of its formulas found
(recall), share of ours that are in it (precision), and similarity of the words, for ours, resiliparse and trafilatura.
Formulas are compared without white space, braces, \\left, \\right and \\displaystyle; the ground truth writes MathML in
another style (`{x}^{2}`, `±`), leaves out comments of forums, and has nothing for one page.

Needs the test data beside the checkout (OCTOLAB_TEST_DATA, or ../shared/data).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import harness

DATA = Path(os.environ.get("OCTOLAB_TEST_DATA") or harness.ROOT.parent / "shared" / "data") / "web_html"
REPEATS = 30
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$|\\begin\{(\w+\*?)\}(.+?)\\end\{\3\}", re.DOTALL)
_LOOKS = re.compile(r"[\s{}]|\\left|\\right|\\displaystyle|\\[,;!]")


def pages(folder: str) -> dict[str, str]:
    """Name -> HTML of the pages of a folder."""
    files = sorted((DATA / folder).glob("*.html.gz"))
    return {
        file.name.split(".html")[0]: gzip.decompress(file.read_bytes()).decode("utf-8", "replace") for file in files
    }


def formulas(text: str) -> Counter[str]:
    """The formulas of a text, without what does not change them."""
    return Counter(_LOOKS.sub("", found[1] or found[2] or found[0]) for found in _FORMULA.finditer(text))


def words(text: str) -> Counter[str]:
    """The words outside formulas."""
    return Counter(re.findall(r"[a-z]{2,}", _FORMULA.sub(" ", text).lower()))


def ours_of(html: str) -> str:
    from octolab.corpus.document import Document
    from octolab.corpus.extract import extract

    (found,) = extract()([Document("page", "", {"html": html})])
    return getattr(found, "text", "")


def resiliparse_of(html: str) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, preserve_formatting=True, main_content=True, alt_texts=False, links=False)


def trafilatura_of(html: str) -> str:
    import trafilatura

    return trafilatura.extract(html) or ""


EXTRACTORS = {"ours": ours_of, "resiliparse": resiliparse_of, "trafilatura": trafilatura_of}


def rate(case: Mapping[str, Any], name: str) -> dict[str, float]:
    listed = list(pages(case["folder"]).values())

    def work() -> float:
        for html in listed:
            EXTRACTORS[name](html)
        return float(len(listed))

    work()
    return {"rate": harness.best_rate(work, REPEATS if name != "trafilatura" else 5)}


def fidelity(name: str) -> dict[str, list[float]]:
    """Page -> recall, precision, similarity."""
    found = {}
    for page, html in pages("origin").items():
        truth = json.loads((DATA / "groundtruth" / f"{page}.json").read_text())["content"]
        text = EXTRACTORS[name](html)
        expected, got = formulas(truth), formulas(text)
        shared, a, b = (expected & got).total(), words(truth), words(text)
        both = (a & b).total()
        found[page] = [
            shared / max(1, expected.total()),
            shared / max(1, got.total()),
            2 * both / max(1, a.total() + b.total()),
        ]
    return found


def print_fidelity() -> None:
    """The table of fidelity; trafilatura's part runs in the peers' environment."""
    import subprocess

    environment = os.environ | {"PYTHONPATH": str(harness.ROOT)}
    done = subprocess.run(
        [str(harness.PEERS), __file__, "--fidelity"], capture_output=True, text=True, env=environment, check=True
    )
    tables = {name: fidelity(name) for name in ("ours", "resiliparse")} | {"trafilatura": json.loads(done.stdout)}
    print("| page | ours: recall, precision, words | resiliparse | trafilatura |\n|---|---|---|---|")
    for page in tables["ours"]:
        cells = [", ".join(f"{value:.2f}" for value in table[page]) for table in tables.values()]
        print(f"| {page} | {' | '.join(cells)} |")
    print()


if __name__ == "__main__":
    if not DATA.exists():
        sys.exit(f"the test data is absent: {DATA} (set OCTOLAB_TEST_DATA)")
    if "--fidelity" in sys.argv:
        print(json.dumps(fidelity("trafilatura")))
        sys.exit()
    if "--job" not in sys.argv:
        print_fidelity()
    harness.main(
        __file__,
        "Extraction: ours beside resiliparse (pages without mathematics) and trafilatura (with)",
        "pages/s",
        [
            {"name": "without mathematics", "folder": "nonmath", "with": "resiliparse", "target": 1 / 1.3},
            {"name": "with mathematics", "folder": "origin", "with": "trafilatura", "target": 3.0},
        ],
        {"peer": lambda case: rate(case, case["with"]), "ours": lambda case: rate(case, "ours")},
    )
