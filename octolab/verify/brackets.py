"""Where an answer comes apart: at separators and relations that stand outside of all brackets.

In goes a text, out come its parts. Any closing bracket closes any opening one, since `[2,5)` is an interval.
"""

from __future__ import annotations

import re

SCAN = re.compile(r"\\[A-Za-z]+|\\.|\S", re.DOTALL)
_OPEN, _CLOSE = (
    frozenset(["(", "[", "{", "\\{", "\\lfloor", "\\lceil"]),
    frozenset(")]}")
    | {
        "\\}",
        "\\rfloor",
        "\\rceil",
    },
)
RELATIONS = frozenset(["=", "<", ">", "\\le", "\\ge", "\\ne", "\\approx", "\\in", "\\equiv", "\\sim"])
_WORD_LIST = re.compile(r"\s*(?:,\s*)?(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])\s*", re.IGNORECASE)


def split(text: str, separator: str) -> list[str]:
    r"""The parts of a text between separators outside of all brackets.

    A separator is a token, or the word `and` or `or`. A comma between groups of three digits, as in `1,234`,
    separates only if no comma of the text is followed by a space.
    """
    if separator in ("and", "or"):
        if separator not in text.lower():
            return [text]
        pieces = [(found.start(), found.end()) for found in _WORD_LIST.finditer(text) if separator in found[0].lower()]
    elif separator not in text:
        return [text]
    else:
        pieces = [(found.start(), found.end()) for found in SCAN.finditer(text) if found[0] == separator]
        if separator == "," and ", " in text:
            pieces = [(start, end) for start, end in pieces if not re.match(r",[0-9]{3}(?![0-9])", text[start:])]
    if not pieces:
        return [text]
    depths = _depths(text)
    parts, begin = [], 0
    for start, end in pieces:
        if depths[start] == 0:
            parts.append(text[begin:start])
            begin = end
    return [*parts, text[begin:]]


def split_relation(text: str) -> tuple[list[str], list[str]]:
    """The sides and operators of a relation; one side and no operator where it is none."""
    sides, operators, begin = [], [], 0
    depths = None
    for found in SCAN.finditer(text):
        if found[0] in RELATIONS:
            depths = depths or _depths(text)
            if depths[found.start()] == 0:
                sides.append(text[begin : found.start()])
                operators.append(found[0])
                begin = found.end()
    return [*sides, text[begin:]], operators


def _depths(text: str) -> list[int]:
    """How many brackets are open at each character; any closing bracket closes any opening one (`[2,5)`)."""
    depths, depth = [0] * len(text), 0
    tokens = [(found.start(), found[0]) for found in SCAN.finditer(text)]
    for number, (start, token) in enumerate(tokens):
        if token in _CLOSE or token == "\\end":
            depth = max(0, depth - 1)
        depths[start] = depth
        if token in _OPEN or token == "\\begin":
            depth += 1
        end = tokens[number + 1][0] if number + 1 < len(tokens) else len(text)
        for place in range(start + 1, end):
            depths[place] = depth
    return depths


def closes_at_end(text: str) -> bool:
    """Whether the first bracket is closed by the last one, and not before."""
    depths = _depths(text)
    starts = [found.start() for found in SCAN.finditer(text)]
    return all(depths[start] > 0 for start in starts[1:-1]) and depths[starts[-1]] == 0
