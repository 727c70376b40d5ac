r"""Does this answer say what the gold says?

The gold is typed once, and only its type's comparison is used. In layers: the same text; the same exact rational;
part by part for lists, tuples, intervals and matrices; at last the value of two expressions (`equal`). There is no
tolerance: 18 is 18.00, 1/2 is .5, and 5 is not 0.05. What goes beyond equality are conventions, all narrow:

- Rounding. A decimal of ten or more significant digits equals the value that it correctly rounds (0.0833333333 is
  1/12); fewer digits do not (0.33 is not 1/3).
- Percent. p% is p/100. Beyond that, where one side only carries the sign and the bare side is above 1 in size, p%
  equals a bare p, because golds to "what percent ..." often leave the sign out: 50% is 50, 0.5% is not 0.5.
- A missing unit, degree sign or name (`x =`) is no matter; a different one is.
- The parentheses of an ordered pair may be missing; the braces of a set too.
- Where the gold is a number, an answer that still has sums, roots or functions to work out is the question, not its
  answer, and is refused: 2 + 3 for 5. Fractions, products and powers count (2^{10} for 1024).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from octolab.verify import scalars
from octolab.verify.answers import Answer, read
from octolab.verify.numerals import parse_numeral
from octolab.verify.shapes import NUMBERS, same_answer, value_of
from octolab.verify.tidy import normal_form, tidy
from octolab.verify.trees import symbols_of
from octolab.verify.values import Costly, Undefined

MAX_ANSWER = 300  # characters; a longer answer counts only where it repeats the gold to the letter

_CHOICE = re.compile(r"\(([A-Za-z])\)|(?:[Oo]ption|[Cc]hoice)\s+\(?([A-Za-z])\)?")
_ARTICLE = re.compile(r"(?:a|an|the) (?=\w)", re.IGNORECASE)
_CHOSEN = re.compile(r"(?:\(([A-Ja-j])\)|([A-Ja-j])\s?[).:])\s*\S.*", re.DOTALL)
_ANY_CHOICE = re.compile(
    r"\([A-Ja-j]\)|(?<![A-Za-z])[A-Za-j](?![A-Za-z])"
    r"|(?<![A-Za-z])(?:or|and|not|incorrect|wrong|false)(?![A-Za-z])"
)
_LETTER = re.compile(r"[A-Ja-j]")
_WORDS = re.compile(r"[^\W\d_]|[^\W\d_]{2,}(?:[ '.\-]+[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold answer, typed once.

    raw: as given, stripped. answer: its shape. words: it is a word, a phrase or a single letter, and upper or lower
    case is no matter.
    """

    raw: str
    answer: Answer
    words: bool

    @property
    def kind(self) -> str:
        """The gold's type; see `Answer.kind`."""
        return self.answer.kind


@lru_cache(maxsize=8192)
def type_gold(gold: str) -> Gold:
    """Type a gold answer; cached, since a group of samples shares one gold."""
    tidied = _strip_choice(tidy(gold))
    words = _WORDS.fullmatch(tidied) is not None
    worded = re.search(r"\\(?:text|m(?:athrm|box))", gold) is not None
    answer = read(tidied, letters=worded) if len(tidied) <= 10 * MAX_ANSWER else Answer("text", normal_form(tidied))
    if words and (len(tidied) == 1 or answer.kind in ("expression", "list")) and answer.kind != "empty":
        answer = Answer("text", normal_form(tidied), tree=answer.tree)
    return Gold(gold.strip(), answer, words)


def compare(gold: Gold, span: str, tolerance: Fraction | None = None) -> tuple[str, str]:
    """Compare a typed gold with the text of an answer.

    tolerance: the relative error up to which a number is right, for benchmarks that say so; None for exact.
    Returns the verdict (`correct`, `wrong` or `unparsed`) and the method: `identical` (to the letter), `text`,
    `exact`, `rounded`, `percent`, `tolerance`, `value`, the name of the gold's type for compounds, or why nothing was
    compared (`too long`, `empty`, `not a number`, `too costly`). The cost is bounded by `MAX_ANSWER`.
    """
    span = span.strip()
    if span and span == gold.raw:
        return "correct", "identical"
    if len(span) > MAX_ANSWER:
        return "unparsed", "too long"
    answer = _strip_choice(tidy(span))
    if not answer:
        return "unparsed", "empty"
    shape = gold.answer
    if shape.numeral is not None and not shape.unit:
        numeral = parse_numeral(answer)
        if numeral is not None:
            method = scalars.same_number(shape.numeral, numeral, tolerance)
            return ("correct", method) if method else ("wrong", "exact")
    text = normal_form(answer)
    if text == shape.text or (gold.words and _words_of(answer) == _words_of(tidy(gold.raw))):
        return "correct", "text"
    if gold.words and _LETTER.fullmatch(gold.raw.strip("()$ ")) and _chosen(answer) == shape.text.casefold():
        return "correct", "choice"
    try:
        return _by_type(gold, answer, tolerance)
    except Costly:
        return "unparsed", "too costly"
    except RecursionError:
        return "unparsed", "nested too deeply"
    except Undefined:
        return "unparsed", "no such value"


def _by_type(gold: Gold, tidied: str, tolerance: Fraction | None) -> tuple[str, str]:
    shape = gold.answer
    answer = read(tidied, letters=shape.tree is None or not symbols_of(shape.tree))
    if shape.kind in NUMBERS:
        answer = value_of(answer)
        if answer.kind == "set" and len(answer.items) == 1:
            answer = answer.items[0]
        if answer.tree is None and answer.kind not in ("ratio", "infinity"):
            return "unparsed", "not a number"
        if answer.tree is not None and answer.numeral is None and symbols_of(answer.tree):
            return "unparsed", "not a number"
    method = same_answer(shape, answer, tolerance)
    if method:
        return "correct", method
    return "wrong", "text" if shape.kind == "text" else shape.kind if shape.items else "value"


def _words_of(tidied: str) -> str:
    """A phrase without its article, all in lower case."""
    return normal_form(_ARTICLE.sub("", _strip_choice(tidied), count=1)).casefold()


def _chosen(answer: str) -> str | None:
    """The letter of `(B) 12`, in lower case, where no other letter or alternative is named."""
    found = _CHOSEN.fullmatch(answer)
    if not found or len(_ANY_CHOICE.findall(answer)) > 1:
        return None
    return (found[1] or found[2]).casefold()


def _strip_choice(tidied: str) -> str:
    """`(B)` as `B`."""
    found = _CHOICE.fullmatch(tidied)
    return (found[1] or found[2]) if found else tidied
