"""Language and URL filters: what goes, what stays, and that mathematics has no language."""

from __future__ import annotations

from pathlib import Path

import pytest

from octolab.corpus.document import Document, Dropped
from octolab.corpus.language import language
from octolab.corpus.steps import build_step
from octolab.corpus.urls import url_filter
from octolab.errors import UserError

ENGLISH = "The sum of the angles of a triangle is two right angles, which follows from the axiom about parallel lines."
GERMAN = "Die Summe der Winkel eines Dreiecks ist gleich zwei rechten Winkeln, was aus dem Axiom über Parallelen folgt."
FRENCH = "La somme des angles d'un triangle est égale à deux angles droits, ce qui résulte de l'axiome des parallèles."


def reason(step: object, document: Document) -> str | None:
    (found,) = step([document])  # type: ignore[operator]
    return found.reason if isinstance(found, Dropped) else None


def test_other_languages_go() -> None:
    step = language()
    assert reason(step, Document("a", ENGLISH)) is None
    assert reason(step, Document("b", GERMAN)) == "language:de"
    assert reason(step, Document("c", FRENCH)) == "language:fr"
    assert reason(language(keep=["de", "en"]), Document("b", GERMAN)) is None


@pytest.mark.parametrize("text", ["$x^2+1=0$ so $x=\\pm i$", "2 + 2 = 4", r"\frac{a}{b} \cdot c", "", "f(x) = x " * 40])
def test_mathematics_has_no_language(text: str) -> None:
    assert reason(language(), Document("a", text)) is None


def test_formulas_do_not_decide() -> None:
    formulas = r"$\alpha \beta \gamma \delta \sqrt{xyz}$ " * 40
    assert reason(language(), Document("a", formulas + ENGLISH)) is None
    assert reason(language(), Document("b", formulas + GERMAN)) == "language:de"


def test_a_missing_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lid.176.bin does not exist.*fasttext.cc"):
        language(model=str(tmp_path / "lid.176.bin"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://math.example.org/algebra/page1", None),
        ("http://best-casino.example.com/", "url:word"),
        ("https://example.com/essex/sextant-and-sexagesimal.html", None),  # parts of words do not count
        ("https://www.bad.example/maths", "url:domain"),
        ("bad.example", "url:domain"),
        ("https://notbad.example/maths", None),
        ("https://example.com/paper.PDF?x=1", "url:type"),
        ("https://poker.good.example/odds", None),
        ("http://[broken", None),
        ("", None),
    ],
)
def test_urls(url: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("# adult\nbad.example\n")
    (tmp_path / "allowed").write_text("good.example\n")
    step = url_filter(blocked=str(tmp_path / "blocked"), allowed=str(tmp_path / "allowed"), types=["pdf"])
    assert reason(step, Document("a", "text", {"url": url})) == expected


def test_documents_without_an_address_pass_and_missing_lists_are_named(tmp_path: Path) -> None:
    assert reason(build_step("url_filter"), Document("a", "text")) is None
    with pytest.raises(UserError, match="does not exist"):
        url_filter(blocked=str(tmp_path / "none"))
