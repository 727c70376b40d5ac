r"""The unit behind a quantity: split off, named one way, and converted where both sides carry one.

In goes a tidied answer such as `25 km`, `9 (apples)` or `18 dollars`, out come the quantity's text and its unit.
Where only one side has a unit it is no matter. Where both have one, units of the same kind are converted exactly
(10 km is 10000 m) and others must be the same word.
"""

from __future__ import annotations

import re
from fractions import Fraction

# kind of quantity: canonical name -> (size in the kind's base unit, other spellings)
_TABLE: dict[str, dict[str, tuple[str, str]]] = {
    "length": {
        "mm": ("1/1000", "millimeter millimetre"), "cm": ("1/100", "centimeter centimetre"),
        "m": ("1", "meter metre"), "km": ("1000", "kilometer kilometre"), "inch": ("254/10000", "in"),
        "foot": ("3048/10000", "feet ft"), "yard": ("9144/10000", "yd"), "mile": ("1609344/1000", "mi"),
    },
    "time": {
        "second": ("1", "sec s"), "minute": ("60", "min"), "hour": ("3600", "hr h"), "day": ("86400", ""),
        "week": ("604800", ""),
    },
    "mass": {
        "mg": ("1/1000", "milligram"), "g": ("1", "gram"), "kg": ("1000", "kilogram"),
        "pound": ("45359237/100000", "lb"), "ounce": ("45359237/1600000", "oz"),
    },
    "volume": {"ml": ("1/1000", "mL milliliter millilitre"), "liter": ("1", "litre L l")},
    "money": {"cent": ("1/100", "\\cent"), "dollar": ("1", "USD buck")},
    "pounds sterling": {"£": ("1", "GBP")},
    "euro": {"euro": ("1", "€ EUR")},
    "angle": {"degree": ("1", "deg")},
    "temperature": {"Celsius": ("1", "")},
    "month": {"month": ("1", "")},
    "year": {"year": ("1", "yr")},
}  # fmt: skip
_SPEEDS = {"mph": "mile / hour", "kph": "km / hour", "kmph": "km / hour", "kmh": "km / hour", "mps": "m / second"}
_SMALL = frozenset(["of", "a", "an", "the"])
# thirds, tenths, halves ... but not months, widths
_PART = re.compile(
    r"(?!(?:mon|wid|dep|leng|streng|grow|ear|clo|mo|pa|ba|mou|boo|bir)th?)(?:hal(?:f|ves)|quarters?|\w+(?:ths?|rds?))"
)
_KNOWN = {
    spelling: (kind, name, Fraction(size))
    for kind, units in _TABLE.items()
    for name, (size, others) in units.items()
    for spelling in (name, *others.split())
} | {name: ("", unit, Fraction(1)) for name, unit in _SPEEDS.items()}
MULTIPLES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
# Words that qualify, negate or join a number instead of naming what is counted.
_NOT_A_UNIT = frozenset(
    "or and not but maybe possibly perhaps approximately about around wrong incorrect correct right true false if when "
    "for where is are was than either neither nor otherwise with without to from between at least most more less fewer "
    "any all no none yes answer except plus minus times mod modulo half quarter third point squared cubed factorial "
    "per cent infinity choose over by sin cos tan cot sec csc log ln exp sqrt frac pi max min gcd lcm base "
    "remainder doubled tripled twice negative positive unless pair couple off impossible double triple".split()
)
_TAIL = re.compile(r"\s+\(\s*([A-Za-z][A-Za-z .]{2,60})\)$|(?<![\\A-Za-z])([A-Za-z$][A-Za-z ./\-]{0,60})$")
_POWER = re.compile(r"\s*\^\s*\{?\s*([23])\s*\}?$")
_MONEY = {"$": "dollar", "£": "£", "€": "euro"}
_ANGLE_OF = re.compile(r"sin|cos|tan|cot|sec|csc")  # the sign belongs to the argument: \\sin 15^\\circ
_DEGREE = re.compile(r"\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})\s*(C|F)?$")


def split_unit(tidied: str, letters: bool = True) -> tuple[str, str, int]:
    """(quantity, unit, multiple): `25 km` gives ("25", "km", 1), `3 million dollars` ("3", "dollar", 1000000).

    The unit is "" where there is none. A tail of words is a unit only if each is a known unit or an ordinary word
    of at least three letters that neither negates, joins nor qualifies. letters: whether a single letter behind a
    space, as in `10 m`, is a unit; if not, it is a factor.
    """
    unit, multiple = "", 1
    found = re.match(r"\\?([$£€])\s*(?=[^\s$£€])", tidied)
    if found:
        unit, tidied = _MONEY[found[1]], tidied[found.end() :]
    degree = _DEGREE.search(tidied)
    if degree and not _ANGLE_OF.search(tidied):
        return tidied[: degree.start()], unit or (f"°{degree[1]}" if degree[1] else "degree"), multiple
    power = _POWER.search(tidied)
    body = tidied[: power.start()] if power else tidied
    found = _TAIL.search(body)
    if found:
        words = (found[1] or found[2]).replace(".", " ").replace("-", " ").split()
        glued = found.start() > 0 and found[2] is not None and body[found.start() - 1].isdigit()
        rest = body[: found.start()].rstrip()
        single = bool(words) and len(words[0]) == 1 and words[0].isalpha()
        if rest and not (glued and (single or words[0] not in _KNOWN)) and (letters or not single):
            while words and words[0] in MULTIPLES:
                multiple *= MULTIPLES[words.pop(0)]
            name = _name(words, power[1] if power else "")
            if name is not None and (name or multiple > 1 or words[-1:] in (["units"], ["unit"])):
                inner, inner_unit, inner_multiple = split_unit(rest, letters) if _DEGREE.search(rest) else (rest, "", 1)
                return inner, name or unit or inner_unit, multiple * inner_multiple
    return tidied, unit, multiple


def _name(words: list[str], power: str) -> str | None:
    """One spelling for a unit; "" for no words or "units"; None where the words are not a unit."""
    words = [word for part in words for word in part.replace("/", " / ").split()]
    prefix = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}.get(words[0].lower() if words else "")
    if prefix:
        words, power = words[1:], prefix
    names: list[str] = []
    for word in words:
        if word == "per" or word == "/":
            names.append("/")
            continue
        known = _known(word)
        if known is None and (_changes_the_number(word.lower()) or (len(word) < 3 and word not in _SMALL)):
            return None
        names += known[1].split() if known else [word.lower()]
    if names in (["units"], ["unit"]):
        names = []
    return " ".join(names) + (f"^{power}" if power and names else "")


def _changes_the_number(word: str) -> bool:
    """Whether a word negates, joins, qualifies or multiplies what stands before it, so that it names no unit."""
    single = word.removesuffix("s")
    if {word, single} & (_NOT_A_UNIT | MULTIPLES.keys()):
        return True
    return _PART.fullmatch(word) is not None


def _known(word: str) -> tuple[str, str, Fraction] | None:
    for spelling in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if spelling in _KNOWN and (len(spelling) > 1 or spelling == word):
            return _KNOWN[spelling]
    return None


def conversion(gold: str, answer: str) -> Fraction | None:
    """What the answer's quantity is multiplied by to be in the gold's unit; None where the units do not fit.

    Units of known parts are compared by dimension (km / hour and m / second). Other names fit if the words of one are
    among those of the other: `apples` and `red apples`.
    """
    if not gold or not answer or gold == answer:
        return Fraction(1)
    (ours, our_size), (theirs, size) = _dimension(gold), _dimension(answer)
    if ours == theirs:
        return size / our_size
    words = [{_singular(word) for word in unit.split() if word not in _SMALL} for unit in (gold, answer)]
    if any(word in _KNOWN or "/" in word or "^" in word for unit in (gold, answer) for word in unit.split()):
        return None
    return Fraction(1) if words[0] <= words[1] or words[1] <= words[0] else None


def _dimension(unit: str) -> tuple[dict[str, int], Fraction]:
    """Powers of the kinds of quantity (or of unknown words) in a unit, and its size in their base units."""
    powers: dict[str, int] = {}
    size, sign = Fraction(1), 1
    for word in unit.split():
        if word == "/":
            sign = -1
        elif word not in _SMALL:
            base, _, exponent = word.partition("^")
            kind, _, one = _KNOWN.get(base) or (_singular(base), base, Fraction(1))
            power = sign * int(exponent or 1)
            powers[kind] = powers.get(kind, 0) + power
            size *= one**power
    return powers, size


def _singular(word: str) -> str:
    return word.removesuffix("s")
