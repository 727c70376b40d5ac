r"""Does this answer say what the gold says?

The gold is typed once (integer, decimal, fraction or text) and only that type's comparison is used. Numbers are
compared as exact rationals, with no tolerance: 18 is 18.00, 1/2 is .5, and 5 is not 0.05. Everything else is
compared as text in its normal form. Two conventions go beyond equality, and both are narrow:

- Rounding. A decimal of ten or more significant digits equals the fraction that it correctly rounds
  (0.0833333333 is 1/12); fewer digits do not (0.33 is not 1/3), nor does a last digit off by one.
- Percent. p% is the number p/100, so 5% is 0.05. Beyond that, where one side only carries the sign and the bare
  side is above 1 in size, p% equals a bare p, because golds to "what percent ..." often leave the sign out: 50% is
  50. At or below 1 a bare number could be the ratio itself, so 0.5% is not 0.5 and 1% is not 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from octolab.verify.numerals import Numeral, parse_numeral
from octolab.verify.tidy import normal_form, tidy

MAX_ANSWER = 300  # characters; a longer answer counts only where it repeats the gold to the letter
ROUNDING_DIGITS = 10

_CHOICE = re.compile(r"\(([A-Za-z])\)")
_WORDS = re.compile(r"[^\W\d_]|[^\W\d_]{2,}(?:[ '.\-]+[^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Gold:
    """A gold answer, read once.

    raw: as given, stripped. kind: `integer`, `decimal`, `fraction`, `text` or `empty`. numeral: for the numbers.
    text: normal form. words: the gold is a word, a phrase or a single letter, and upper or lower case is no matter.
    """

    raw: str
    kind: str
    numeral: Numeral | None
    text: str
    words: bool


@lru_cache(maxsize=8192)
def type_gold(gold: str) -> Gold:
    """Type a gold answer; cached, since a group of samples shares one gold."""
    tidied = _strip_choice(tidy(gold))
    numeral = parse_numeral(tidied)
    text = normal_form(tidied)
    kind = numeral.kind if numeral else "text" if text else "empty"
    return Gold(gold.strip(), kind, numeral, text, _WORDS.fullmatch(tidied) is not None)


def compare(gold: Gold, span: str) -> tuple[str, str]:
    """Compare a typed gold with the text of an answer.

    Returns the verdict (`correct`, `wrong` or `unparsed`) and the method: `identical` (to the letter), `exact`,
    `rounded`, `percent` (numbers), `text`, or why nothing was compared (`too long`, `empty`, `not a number`).
    The cost is bounded by `MAX_ANSWER`.
    """
    span = span.strip()
    if span and span == gold.raw:
        return "correct", "identical"
    if len(span) > MAX_ANSWER:
        return "unparsed", "too long"
    answer = _strip_choice(tidy(span))
    if not answer:
        return "unparsed", "empty"
    if gold.numeral is not None:
        numeral = parse_numeral(answer)
        if numeral is not None:
            method = same_number(gold.numeral, numeral)
            return ("correct", method) if method else ("wrong", "exact")
        # A list such as "100, 200" may look like a number where the gold leaves the space out.
        return ("correct", "text") if normal_form(answer) == gold.text else ("unparsed", "not a number")
    text = normal_form(answer)
    if text == gold.text or (gold.words and text.casefold() == gold.text.casefold()):
        return "correct", "text"
    return "wrong", "text"


def same_number(gold: Numeral, answer: Numeral) -> str | None:
    """How two numbers are equal (`exact`, `rounded` or `percent`), or None where they are not."""
    if gold.exact == answer.exact:
        return "exact"
    if gold.percent != answer.percent:
        bare = answer if gold.percent else gold
        return "percent" if abs(bare.value) > 1 and gold.value == answer.value else None
    for decimal, fraction in ((answer, gold), (gold, answer)):
        if decimal.kind == "decimal" and fraction.kind == "fraction" and decimal.digits >= ROUNDING_DIGITS:
            unit = Fraction(10) ** -decimal.places
            if abs(decimal.value - fraction.value) * 2 <= unit:
                return "rounded"
    return None


def _strip_choice(tidied: str) -> str:
    """`(B)` as `B`."""
    found = _CHOICE.fullmatch(tidied)
    return found[1] if found else tidied
