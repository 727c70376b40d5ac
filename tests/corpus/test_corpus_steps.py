"""Steps drop with reasons, and every document is accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.corpus.convert import web
from octolab.corpus.deduplicate import exact_dedup, text_hash
from octolab.corpus.document import Document, Dropped
from octolab.corpus.extract import extract, looks_like_html
from octolab.corpus.read import read_documents
from octolab.corpus.steps import build_step, run_steps
from octolab.errors import UserError
from octolab.tasks.rows import BadCounts, read_rows


def documents(*texts: str) -> list[Document]:
    """Documents d0, d1, ... with these texts."""
    return [Document(f"d{number}", text) for number, text in enumerate(texts)]


def test_empty_and_undecodable_documents_are_dropped_and_counted() -> None:
    passed, counts = run_steps(
        documents("good", "", " \n", "half \ud800", "\ufffd\ufffdx", "one \ufffd in many ok"), []
    )
    assert [document.id for document in passed] == ["d0", "d5"]
    (read,) = counts.summary()
    assert read["name"] == "read" and read["in"] == 6 and read["out"] == 2
    assert read["dropped"] == {"empty": 2, "undecodable text": 2}
    json.dumps(read, ensure_ascii=False).encode()  # excerpts can be written, whatever was in the text


def test_exact_dedup_keeps_the_first_and_ignores_white_space() -> None:
    items = list(exact_dedup()(documents("a b", "a  b\n", "a c", " a b", "A b")))
    assert [item.id for item in items if isinstance(item, Document)] == ["d0", "d2", "d4"]
    assert [(item.id, item.reason) for item in items if isinstance(item, Dropped)] == [
        ("d1", "duplicate"),
        ("d3", "duplicate"),
    ]


def test_a_step_forgets_between_runs() -> None:
    step = exact_dedup()
    for _ in range(2):
        assert all(isinstance(item, Document) for item in step(documents("a", "b")))


@given(st.lists(st.text(alphabet="ab \n", max_size=4), max_size=12))
def test_dedup_law(texts: list[str]) -> None:
    kept = [item.text for item in exact_dedup()(documents(*texts)) if isinstance(item, Document)]
    assert len({text_hash(text) for text in kept}) == len(kept)
    assert {text_hash(text) for text in kept} == {text_hash(text) for text in texts}


def shout(stream: Iterable[Document]) -> Iterator[Document | Dropped]:
    """Upper case; empties what starts with a; drops what starts with b."""
    for document in stream:
        if document.text.startswith("b"):
            yield Dropped("starts with b", document.id, document.text)
        else:
            yield Document(document.id, "" if document.text.startswith("a") else document.text.upper())


@given(st.lists(st.text(alphabet="abcd ", max_size=3), max_size=30))
def test_every_document_is_accounted_for(texts: list[str]) -> None:
    passed, counts = run_steps(documents(*texts), [("shout", shout), ("exact_dedup", exact_dedup())])
    out = len(list(passed))
    steps = counts.summary()
    for before, after in pairwise(steps):
        assert before["out"] == after["in"]
    for step in steps:
        assert step["in"] == step["out"] + sum(step["dropped"].values())
        for reason, kept in step["examples"].items():
            assert len(kept) == min(5, step["dropped"][reason])
    assert steps[0]["in"] == len(texts) and steps[-1]["out"] == out


def test_steps_run_lazily_one_document_at_a_time() -> None:
    drawn: list[str] = []

    def source() -> Iterator[Document]:
        for document in documents("x", "y", "z"):
            drawn.append(document.id)
            yield document

    passed, _ = run_steps(source(), [("shout", shout)])
    assert drawn == []
    assert next(passed).text == "X" and drawn == ["d0"]


def test_a_defect_of_a_step_is_not_swallowed() -> None:
    def broken(stream: Iterable[Document]) -> Iterator[Document | Dropped]:
        for _ in stream:
            raise KeyError("mine")
        yield Dropped("", "", "")

    passed, _ = run_steps(documents("x"), [("broken", broken)])
    with pytest.raises(KeyError, match="mine"):
        list(passed)


PAGE = (
    "<!DOCTYPE html><html><head><title>T</title><script>var x = 1;</script></head><body><nav><ul>"
    "<li><a href='/'>Home</a></li></ul></nav><main><p>If a &lt; b then</p><p>a + 1 &lt; b + 1.</p></main>"
    "<footer>all rights reserved</footer></body></html>"
)


@pytest.mark.parametrize("page", [Document("p", "", {"html": PAGE, "url": "u"}), Document("p", PAGE, {"url": "u"})])
def test_extract_reads_the_page_from_metadata_or_text(page: Document) -> None:
    (found,) = extract()([page])
    assert found == Document("p", "If a < b then\n\na + 1 < b + 1.", {"url": "u"})


def test_extract_leaves_plain_text_alone_and_drops_bare_boilerplate() -> None:
    plain = Document("t", "if a<b and c>d & e </i> then   p")
    assert list(extract()([plain])) == [plain] and not looks_like_html(plain.text)
    bare = Document("e", "", {"html": "<html><body><nav><a href='/'>Home</a></nav></body></html>"})
    (dropped,) = extract()([bare])
    assert isinstance(dropped, Dropped) and dropped.reason == "no text in page"


def test_extract_without_main_content_keeps_navigation() -> None:
    (found,) = build_step("extract", main_content=False)([Document("p", PAGE)])
    assert isinstance(found, Document) and "Home" in found.text and "var x" not in found.text


def test_real_pages_become_text(test_data: Path) -> None:
    bad = BadCounts()
    rows = read_rows(str(test_data / "web_html" / "*" / "*.html.gz"), bad.on_bad)
    passed, counts = run_steps(read_documents(rows, web, "web", bad), [("extract", extract())])
    found = {document.id: document.text for document in passed}
    assert bad.total == 0 and counts.steps[1].taken == 14
    assert counts.steps[1].dropped == {}
    assert found["math_katex_latex_2"].count("$") == 6  # nothing but two formulas that a script would draw
    assert "Solve the cubic equation" in found["math_katex_latex_1"]
    assert not any(looks_like_html(text) for text in found.values())


def test_build_step_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'exact_dedupe'.*`exact_dedup`"):
        build_step("exact_dedupe")
    with pytest.raises(UserError, match=r"'extract' has no argument 'main'.*`main_content`"):
        build_step("extract", main=True)
    with pytest.raises(UserError, match="takes none"):
        build_step("exact_dedup", x=1)
    with pytest.raises(UserError, match="'problems'"):
        build_step("decontaminate")


def test_build_step_takes_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_steps.py").write_text(
        "def long_enough(characters):\n    return lambda stream: (d for d in stream if len(d.text) >= characters)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    step = build_step("my_steps:long_enough", characters=2)
    assert [document.id for document in step(documents("a", "bb"))] == ["d1"]
