r"""The last `\boxed{}` of a text, found in time linear in its length.

In goes any text, however long or malformed; out comes the content of its last balanced `\boxed{}` or `\fbox{}`,
or None. Nothing is interpreted here beyond braces.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*+\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BRACE_REVERSED = re.compile(r"([{}])(\\*+)")


def last_boxed(text: str) -> str | None:
    r"""Content of the last balanced `\boxed{}` or `\fbox{}`; None where there is none or it never closes.

    The last box is the one that opens last. Where boxes are nested, the outermost one around it counts, and a
    box that holds nothing but another box stands for that other one: `\boxed{\boxed{42}}` is `42`. Braces
    escaped as `\{` do not count. A last box that is opened and not closed gives None, whatever came before it.
    """
    opening = _last_opening(text)
    if opening is None:
        return None
    closes = _unmatched_closes(text, opening.end())
    if not closes:
        return None
    boxes = [(opening.start(), opening.end(), closes[0])]
    if len(closes) > 1:
        boxes += _enclosing_boxes(text[: opening.start()], closes[1:])
    while len(boxes) > 1:
        (start, _, end), (_, outer_content, outer_end) = boxes[-2:]
        if (text[outer_content:start] + text[end + 1 : outer_end]).strip(" \t\r\n$"):
            break
        boxes.pop()
    _, content, end = boxes[-1]
    return text[content:end]


def _last_opening(text: str) -> re.Match[str] | None:
    r"""The last `\boxed{` or `\fbox{`; a mention without its brace is passed over."""
    where = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if where < 0:
        return None
    found = _BOX.match(text, where)
    if found is None:
        for earlier in _BOX.finditer(text, 0, where):
            found = earlier
    return found


def _unmatched_closes(text: str, start: int) -> list[int]:
    """Positions of the braces that close the group open at `start` and the groups around it, innermost first."""
    depth, closes = 0, []
    for token in _BRACE.finditer(text, start, text.rfind("}") + 1):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            if depth:
                depth -= 1
            else:
                closes.append(token.start())
    return closes


def _enclosing_boxes(before: str, closes: list[int]) -> list[tuple[int, int, int]]:
    """Boxes still open at the end of `before`, innermost first: (start, start of content, end of content).

    `closes` holds the closing braces of the groups around, innermost first. The scan runs from right to left and
    stops when each of them has found its opening brace.
    """
    boxes, depth, around = [], 0, 0
    starts = {found.end(): found.start() for found in _BOX.finditer(before)}
    for brace in _BRACE_REVERSED.finditer(before[::-1]):
        if len(brace[2]) % 2:  # escaped
            continue
        if brace[1] == "}":
            depth += 1
        elif depth:
            depth -= 1
        else:
            content = len(before) - brace.start()
            if content in starts:
                boxes.append((starts[content], content, closes[around]))
            around += 1
            if around == len(closes):
                break
    return boxes
