r"""Numbers as they are written in answers, read exactly.

In goes a tidied answer, out comes a `Numeral` (the exact value and how it was written) or None where the text is
not one number: an integer or decimal with or without thousands separators, currency or percent sign, scientific
notation, a fraction `a/b` or `\frac{a}{b}`, a mixed number `7\frac{3}{4}` or `7 3/4`, a
repeating decimal `0.\overline{3}`. The value is a `Fraction`;
no float is ever made, and an exponent is bounded before it is expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 1000  # digits of a number once written out; longer ones are not read as numbers

_UNSIGNED = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_MONEY = r"(?:\\?[$£€]\s*)?"
_PERCENT = r"\s*(?P<percent>\\?%)?"
_DECIMAL = re.compile(
    rf"(?P<sign>[-+]?)\s*{_MONEY}(?P<sign_2>[-+]?)(?P<number>{_UNSIGNED})"
    r"(?:(?:[eE]|\s*(?:\\times|\\cdot|[*x×·])\s*10\s*\^)\s*(?:(?P<exponent>[-+]?[0-9]{1,4})|"
    rf"\{{\s*(?P<exponent_2>[-+]?[0-9]{{1,4}})\s*\}}))?{_PERCENT}"
)
_SIGNED = rf"[-+]?\s*(?:{_UNSIGNED})"
_FRACTION = re.compile(
    rf"(?P<sign>[-+]?)\s*{_MONEY}(?:"
    rf"(?P<whole>[0-9]+)?\s*\\frac\s*(?:\{{\s*(?P<top>{_SIGNED})\s*\}}|(?P<top_2>[0-9]))"
    rf"\s*(?:\{{\s*(?P<bottom>{_SIGNED})\s*\}}|(?P<bottom_2>[0-9]))"
    rf"|(?:(?P<whole_2>[0-9]+) )?(?P<top_3>{_UNSIGNED})\s*/\s*(?P<bottom_3>{_UNSIGNED})){_PERCENT}"
)


_REPEATING = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<whole>[0-9]*)\.(?P<fixed>[0-9]*)\s*\\(?:overline|bar)\s*"
    rf"(?:\{{\s*(?P<cycle>[0-9]+)\s*\}}|(?P<digit>[0-9])){_PERCENT}"
)


@dataclass(frozen=True, slots=True)
class Numeral:
    """One number as written.

    value: exact, the percent sign not applied. kind: `integer`, `decimal` or `fraction`. digits: significant
    digits written. places: digits after the decimal point (negative for 3e5). percent: followed by a percent sign.
    """

    value: Fraction
    kind: str
    digits: int = 0
    places: int = 0
    percent: bool = False

    @property
    def exact(self) -> Fraction:
        """The value with the percent sign applied: 5% is 1/20."""
        return self.value / 100 if self.percent else self.value


def parse_numeral(tidied: str) -> Numeral | None:
    """Read a tidied answer as one number, or give None.

    None also for a zero denominator, a mixed number whose fraction is not proper (`2\\frac{5}{3}` could be a
    product), and a number of more than `MAX_DIGITS` digits.
    """
    if len(tidied) > MAX_DIGITS:
        return None
    if tidied.isascii() and tidied.isdigit():
        return Numeral(Fraction(int(tidied)), "integer", len(tidied.lstrip("0")))
    found = _DECIMAL.fullmatch(tidied)
    if found:
        return _decimal(found)
    found = _FRACTION.fullmatch(tidied)
    if found:
        return _fraction(found)
    found = _REPEATING.fullmatch(tidied)
    return _repeating(found) if found else None


def _repeating(found: re.Match[str]) -> Numeral:
    r"""`0.1\overline{6}` is 1/10 + 6/90."""
    fixed, cycle = found["fixed"], found["cycle"] or found["digit"]
    scale = 10 ** len(fixed)
    value = Fraction(int(found["whole"] + fixed or "0"), scale)
    value += Fraction(int(cycle), scale * (10 ** len(cycle) - 1))
    return Numeral(-value if found["sign"] == "-" else value, "fraction", percent=found["percent"] is not None)


def _decimal(found: re.Match[str]) -> Numeral | None:
    sign, sign_2, number = found["sign"], found["sign_2"], found["number"]
    if sign and sign_2:
        return None
    whole, _, decimals = number.replace(",", "").partition(".")
    exponent = found["exponent"] or found["exponent_2"]
    power = int(exponent or 0) - len(decimals)
    if len(whole) + len(decimals) + abs(power) > MAX_DIGITS:
        return None
    value = Fraction(int(whole + decimals)) * Fraction(10) ** power
    return Numeral(
        value=-value if "-" in (sign, sign_2) else value,
        kind="decimal" if decimals or exponent else "integer",
        digits=len((whole + decimals).lstrip("0")),
        places=-power,
        percent=found["percent"] is not None,
    )


def _fraction(found: re.Match[str]) -> Numeral | None:
    top = _number(found["top"] or found["top_2"] or found["top_3"])
    bottom = _number(found["bottom"] or found["bottom_2"] or found["bottom_3"])
    if bottom == 0:
        return None
    value = top / bottom
    whole = found["whole"] or found["whole_2"]
    if whole:
        if not (0 < value < 1 and bottom > 0):
            return None
        value += int(whole)
    return Numeral(-value if found["sign"] == "-" else value, "fraction", percent=found["percent"] is not None)


def _number(text: str) -> Fraction:
    """A numerator or denominator: digits with an optional sign, separators and decimal point."""
    whole, _, decimals = text.replace(",", "").replace(" ", "").lstrip("+-").partition(".")
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    return -value if text.startswith("-") else value
