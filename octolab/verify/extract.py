r"""Where in a completion is the answer?

In goes a completion, out comes the span that holds its answer, or None. Training reads one thing only, the last
`\boxed{}`, so that nothing else can be rewarded. Evaluation also covers base models that were shown few-shot
examples and no box: there an answer phrase counts and, for word problems, the last number. Every scan is linear
in the text, and at most the last `MAX_TEXT` characters are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from octolab.verify.boxes import last_boxed
from octolab.verify.numerals import parse_numeral
from octolab.verify.tidy import tidy

MAX_TEXT = 1_000_000  # characters; some 300,000 tokens, more than any rollout

# "#### 18" (GSM8K's own mark, not a heading), "answer is", "answer:", "**Answer**:"
_PHRASE = re.compile(
    r"####\s{0,4}(?=[-+\u2212]?\s?\\?\$?[.0-9])|\banswer\b(?:\*\*)?\s{0,4}(?:is\b|:|=)\s{0,4}:?", re.IGNORECASE
)
_MATHS = re.compile(r"\$\$?((?:\\.|[^$\\\n]){1,400})\$|\\\(((?:[^\\\n]|\\(?!\))){1,400})\\\)")
_SENTENCE_END = re.compile(r"\.(?=\s|\*|$)|\n")
_NUMBER = re.compile(
    r"(?:(?<![\w)\]}.])[-\u2212](?:\\?\$)?)?"  # a minus sign, not that of a difference
    r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3}){1,20}(?![0-9])|[0-9]++)(?:\.[0-9]++)?"
)


_SEVERAL = re.compile(r"[0-9]\W{1,3}(?:or|and|to)\W{1,3}[0-9]", re.IGNORECASE)  # "18 or 19" is no number
_CHOICE = re.compile(r"(?:option|choice)?\s*\(?([A-Ea-e])(?:\)|(?![A-Za-z0-9'])(?!\s*[=+*/^-]))", re.IGNORECASE)
_CHOICE_INSIDE = re.compile(r"\(([A-Ea-e])\)")


def answer_part(text: str) -> str:
    """What follows the last `</think>` (all of the text where there is none), bounded to `MAX_TEXT`."""
    return text[-MAX_TEXT:].rpartition("</think>")[2]


def phrase(text: str) -> str | None:
    """The answer named by the last "answer is", "answer:" or "####".

    That is the formula where one follows (`$24$`), else the rest of the sentence without its full stop.
    """
    found = _last(_PHRASE, text)
    if found is None:
        return None
    rest = text[found.end() : found.end() + 1000].lstrip(" \t\r\n*:")
    maths = _MATHS.match(rest)
    if maths:
        return (maths[1] or maths[2]).strip() or None
    return _SENTENCE_END.split(rest, maxsplit=1)[0].strip(" \t*") or None


def phrase_number(text: str) -> str | None:
    """As `phrase`, for tasks whose answers are numbers.

    Where the phrase is not itself a number, the first number after its last equals sign is taken: "the answer
    is 5 + 3 = 8 apples" is 8.
    """
    span = phrase(text)
    if span is None or parse_numeral(tidy(span)) is not None or _SEVERAL.search(span):
        return span
    found = _NUMBER.search(span.rpartition("=")[2])
    return found[0] if found else None


def last_number(text: str) -> str | None:
    """The last number of the text, thousands separators included."""
    found = _last(_NUMBER, text)
    return found[0] if found else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for found in pattern.finditer(text):
        last = found
    return last


def phrase_choice(text: str) -> str | None:
    """As `phrase`, for multiple choice: the letter that the phrase begins with or names in parentheses."""
    span = phrase(text)
    found = _CHOICE.match(span) or _CHOICE_INSIDE.search(span) if span else None
    return next(filter(None, found.groups())) if found else None


def last_choice(text: str) -> str | None:
    """The last letter in parentheses."""
    found = _last(_CHOICE_INSIDE, text)
    return found[1] if found else None


Extractor = Callable[[str], str | None]
_USUAL: tuple[tuple[str, Extractor], ...] = (("phrase", phrase),)
_WORD_PROBLEM: tuple[tuple[str, Extractor], ...] = (("phrase", phrase_number), ("last number", last_number))
# What evaluation reads where there is no box, for the benchmarks that differ from the usual.
WORD_PROBLEMS = ("gsm8k", "svamp", "asdiv", "mawps", "tabmwp")
ADAPTERS = dict.fromkeys(WORD_PROBLEMS, _WORD_PROBLEM) | dict.fromkeys(
    ("mathqa", "mmlu_stem", "sat"), (("phrase", phrase_choice), ("last choice", last_choice))
)


def extract(completion: str, mode: str, task: str | None) -> tuple[str | None, str]:
    """The answer span of a completion, or None, and how it was found: `box`, `phrase`, `last number`, `last choice`,
    `none`.

    Mode `rl` reads the last box and nothing else. Mode `eval` reads the box and, where it is missing, unclosed
    or empty, what the task's adapter reads. Cutting a completion at its stop strings is the caller's work.
    """
    text = answer_part(completion)
    span = last_boxed(text)
    if span is not None and span.strip():
        return span, "box"
    if mode == "eval":
        for method, extractor in ADAPTERS.get(task or "", _USUAL):
            span = extractor(text)
            if span is not None:
                return span, method
    return None, "none"
