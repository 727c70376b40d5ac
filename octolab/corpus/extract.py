"""HTML to plain text that keeps mathematics as LaTeX: formulas by `formulas`, the rest by resiliparse.

In go documents that hold a page, in `metadata["html"]` or as their text, out come documents that hold what a reader
would read, with the number of formulas of each kind in `metadata["formulas"]`. A document whose text is not HTML passes
unchanged: extraction would swallow its `<` and `&`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from octolab.corpus.document import Document, Dropped, Step, excerpt
from octolab.corpus.formulas import has_formulas, mark_formulas

REASON = "no text in page"
UNPARSED = "HTML cannot be parsed"

_HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|div|p|table|ul|ol|span|h[1-6])[\s>/]", re.IGNORECASE)


def extract(main_content: bool = True) -> Step:
    """The step; `main_content` leaves out navigation, adverts and footers by resiliparse's rules.

    False keeps every visible text, which loses less and cleans less (MegaMath's first pass does so).
    """

    def step(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
        for document in documents:
            yield _extracted(document, main_content)

    return step


def looks_like_html(text: str) -> bool:
    """Whether a text has a tag that only HTML has (in its first 20,000 characters)."""
    return _HTML.search(text, 0, 20_000) is not None


def _extracted(document: Document, main_content: bool) -> Document | Dropped:
    page = document.metadata.get("html")
    if page is None:
        if not looks_like_html(document.text):
            return document
        page = document.text
    from resiliparse.extract.html2text import extract_plain_text

    source, formulas = mark_formulas(page) if has_formulas(page) else (page, None)
    try:
        text = extract_plain_text(
            source, preserve_formatting=True, main_content=main_content, alt_texts=False, links=False
        )
    except ValueError:
        return Dropped(UNPARSED, document.id, excerpt(page))
    metadata = {key: value for key, value in document.metadata.items() if key != "html"}
    if formulas is not None:
        text = formulas.restore(text)
        metadata["formulas"] = formulas.counts
    if not text.strip():
        return Dropped(REASON, document.id, excerpt(page))
    return Document(document.id, text.strip(), metadata)
