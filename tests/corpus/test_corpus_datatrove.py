"""A step gives the same inside a datatrove pipeline as outside."""

from __future__ import annotations

import sys

import pytest

from octolab.corpus.datatrove import as_datatrove
from octolab.corpus.deduplicate import exact_dedup
from octolab.errors import UserError

TEXTS = ["a", "b", "a ", "c"]


def test_same_documents_and_counted_drops() -> None:
    data = pytest.importorskip("datatrove.data", reason="datatrove is not installed")
    step = as_datatrove(exact_dedup(), "exact deduplication")
    theirs = [data.Document(text=text, id=str(n), metadata={"n": n}) for n, text in enumerate(TEXTS)]
    found = list(step(theirs))
    assert [(document.id, document.text, document.metadata) for document in found] == [
        ("0", "a", {"n": 0}),
        ("1", "b", {"n": 1}),
        ("3", "c", {"n": 3}),
    ]
    counted = {name: stat.total for name, stat in step.stats.stats.items()}
    assert counted["total"] == 4 and counted["forwarded"] == 3 and counted["dropped_duplicate"] == 1


def test_without_datatrove_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datatrove.data", None)
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(UserError, match="pip install datatrove"):
        as_datatrove(exact_dedup(), "mine")
