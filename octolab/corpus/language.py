r"""Language identification: texts in other languages than the wanted ones are dropped.

In go documents, out come those whose prose is in a wanted language. Offline by resiliparse's detector; with a
fastText model (`lid.176.bin` or `.ftz`, from the user) by that, as FineWeb and MegaMath do. Formulas, code and digits
are left out of what is looked at, and a text with hardly any prose is kept: mathematics has no language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from octolab.corpus.document import Document, Dropped, Step, excerpt
from octolab.errors import UserError

MIN_LETTERS = 60  # in words of prose; below that no detector is to be trusted
CUTOFF = 1200  # resiliparse's distance above which a language is unknown (its own default)
LOOKED_AT = 20_000  # characters
_NO_PROSE = re.compile(r"\$\$.*?\$\$|\$[^$\n]*\$|`[^`\n]*`|\\[A-Za-z]+|https?://\S+|[\d_^{}=+*/<>|\\]+", re.DOTALL)

_WORD = re.compile(r"[^\W\d_]{2,}")

Detector = Callable[[str], tuple[str, float]]


def language(keep: Sequence[str] = ("en",), threshold: float = 0.65, model: str | None = None) -> Step:
    """The step; drops are called `language:<code>`.

    keep: ISO 639-1 codes. model: a fastText model file, whose probability for a wanted language must reach `threshold`
    (MegaMath: 0.65); without one `threshold` is of no use. Raises UserError if the model or fastText is missing.
    """
    detect = _fasttext(model) if model is not None else _resiliparse

    def step(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
        for document in documents:
            prose = " ".join(_NO_PROSE.sub(" ", document.text[:LOOKED_AT]).split())
            if sum(map(len, _WORD.findall(prose))) < MIN_LETTERS:
                yield document
                continue
            code, probability = detect(prose)
            if code in keep and probability >= (threshold if model is not None else 0):
                yield document
            else:
                yield Dropped(f"language:{code}", document.id, excerpt(document.text))

    return step


def _resiliparse(prose: str) -> tuple[str, float]:
    from resiliparse.parse.lang import detect_fast

    code, distance = detect_fast(prose, cutoff=CUTOFF)
    return code, 1 - distance / CUTOFF


def _fasttext(model: str) -> Detector:
    if not Path(model).is_file():
        raise UserError(
            f"language model {model} does not exist; download lid.176.bin from fasttext.cc, or leave it out"
        )
    try:
        import fasttext
    except ImportError:
        raise UserError("a language model needs fastText; install it with: pip install fasttext-numpy2-wheel") from None
    loaded = fasttext.load_model(model)

    def detect(prose: str) -> tuple[str, float]:
        labels, probabilities = loaded.predict(prose)
        return labels[0].removeprefix("__label__"), float(probabilities[0])

    return detect
