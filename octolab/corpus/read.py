"""Documents from rows.

In go rows of any data set and a converter, out come documents in row order; rows that are no document are counted
by reason and passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from octolab.corpus.convert import Converter
from octolab.corpus.document import Document
from octolab.tasks.rows import BadCounts


def read_documents(
    rows: Iterable[Mapping[str, Any]], convert: Converter, source: str, bad: BadCounts
) -> Iterator[Document]:
    """Each row through `convert`; a row without an id is called `<source>-<row number>`.

    `bad` counts the ValueErrors of the converter under their message; give its `on_bad` to `read_rows` as well and
    it holds the damaged rows too. Any other exception of a converter is its defect and passes through.
    """
    for number, row in enumerate(rows):
        fallback_id = f"{source}-{number}"
        try:
            yield convert(row, fallback_id)
        except ValueError as error:
            bad.add(str(error), fallback_id)
