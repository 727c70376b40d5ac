"""Numbers and names as a reader meets them: one place for rounding, signs, dashes and escaping.

Absent, null and non-finite numbers are a dash everywhere. All text that comes from logs passes `esc` (or
`json_block`) on its way into the page: model output is hostile until shown otherwise.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import math
import re
from typing import Any

DASH = "–"
NARROW = "\u202f"
MINUS = "−"
ARROW = "→"


def number(value: Any) -> float | None:
    """`value` as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def fixed(value: Any, digits: int = 1, sign: bool = False) -> str:
    """Fixed decimals with a true minus sign; never a negative zero."""
    x = number(value)
    if x is None:
        return DASH
    rounded = round(x, digits)
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return MINUS + text
    return "+" + text if sign and rounded > 0 else text


def percent(fraction: Any, unit: bool = True) -> str:
    """A fraction 0..1 as percent with one decimal."""
    x = number(fraction)
    if x is None:
        return DASH
    return fixed(100 * x) + (f"{NARROW}%" if unit else "")


def points(value: Any) -> str:
    """A difference in accuracy points, signed."""
    return fixed(value, 1, sign=True)


def compact(value: Any) -> str:
    """A count: 950, 12.3k, 4.5M, 1.2B."""
    x = number(value)
    if x is None:
        return DASH
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(x) >= size:
            scaled = x / (1e3 if suffix == "k" else size)
            return f"{scaled:.3g}{suffix}" if scaled < 1000 else f"{scaled:,.0f}{suffix}"
    return f"{x:,.0f}" if x == int(x) else fixed(x)


def count(value: Any) -> str:
    """A whole number with thousands separated."""
    x = number(value)
    return DASH if x is None else f"{x:,.0f}"


def plural(n: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def duration(seconds: Any) -> str:
    """Seconds as 8.1 s, 12 min 5 s or 3 h 20 min."""
    x = number(seconds)
    if x is None:
        return DASH
    if x < 60:
        return f"{x:.1f}{NARROW}s"
    if x < 3600:
        return f"{int(x // 60)}{NARROW}min {int(x % 60)}{NARROW}s"
    return f"{int(x // 3600)}{NARROW}h {int(x % 3600 // 60)}{NARROW}min"


def printable(text: Any) -> str:
    """`text` as a string that UTF-8 can hold: lone surrogates become replacement characters."""
    return str(text).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def esc(text: Any) -> str:
    """Escaped for HTML text and quoted attributes."""
    return html.escape(printable(text), quote=True)


def prose(text: str) -> str:
    """Escaped, with `names` in back quotes set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", esc(text))


def json_block(id_: str, value: Any) -> str:
    """A JSON data block that no content can close: every < is written as an escape."""
    text = printable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{esc(id_)}">{text}</script>'


def packed_block(id_: str, value: Any) -> str:
    """A data block of gzipped JSON in base64, for what the page reads only when it is wanted."""
    text = printable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    packed = base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")
    return f'<script type="application/gzip;base64" id="{esc(id_)}">{packed}</script>'
