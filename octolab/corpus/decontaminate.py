"""13-gram decontamination: no text that shares 13 words in a row with an evaluation problem is trained on.

In go evaluation problems, out comes an index of the 64-bit hashes of their n-grams (questions and solutions); in go
documents or RL problems, out come those that share nothing with it. A question shorter than 13 words is looked for
whole. Numbers are kept as they are: "48 clips" and "973 clips" are different problems. Operators and LaTeX commands
are words too; brackets, punctuation and white space are not, so layout and mark-up cannot hide a match. Because a
formula alone soon fills 13 words (`ax^3 + bx^2 + cx + d = 0`) and stands on every other page, an n-gram counts only
if at least four of its words are words of a language; a question without any such n-gram keeps all it has.

The n of 13 is that of MegaMath, FineMath and Qwen2.5-Math; looking at questions as well as solutions is ours (the
MegaMath release matches solutions only, so that a page with just the question passes).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from octolab.corpus.document import Document, Dropped, Step
from octolab.tasks.problems import Problem, drop_calculator_marks

N = 13
REASON = "contaminated"

# A LaTeX command, letters, a number with its decimals, or one operator. Everything else separates.
_WORD = re.compile(r"\\[a-z]+|[^\W\d_]+|\d+(?:[.,]\d+)*|[-+*/=<>^|%!×÷·≤≥≠±√]")
_LANGUAGE = re.compile(r"[^\W\d_]{2,}")
_LANGUAGE_WORDS = 4  # of n; with fewer, bare formulas count, and one mathematics page in ten is dropped for them
# LaTeX for looks, and the box around an answer: the same formula is written with and without them.
_LOOKS = frozenset(
    rf"\{name}"
    for name in ("left", "right", "displaystyle", "boxed", "fbox", "text", "textbf", "mbox", "mathrm", "qquad", "quad")
)
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers never vanish modulo 2**64

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Match:
    """What a text shares with an evaluation problem: the set, the problem's id, and the words in common."""

    set_name: str
    problem_id: str
    words: str


def words_of(text: str) -> list[str]:
    """The words that are compared: lower case, operators and numbers kept, looks and punctuation left out."""
    return [word for word in _WORD.findall(drop_calculator_marks(text).lower()) if word not in _LOOKS]


class ContaminationIndex:
    """Hashes of the n-grams of evaluation problems; `find` says what a text shares with them.

    Questions of fewer than n words are indexed whole, solutions of fewer than n words not at all. Memory is 12 bytes
    an n-gram (MATH's 5,000 problems: some 6 MB).
    """

    def __init__(self, problems: Mapping[str, Sequence[Problem]], n: int = N) -> None:
        """`problems`: set name to its problems; where two share an n-gram the first one is named."""
        if n < 1:
            raise ValueError(f"n={n} must be at least 1")
        self.n = n
        self._items: list[tuple[str, str]] = []
        grams: dict[int, dict[int, int]] = {}
        for set_name, members in problems.items():
            for problem in members:
                self._add(grams, len(self._items), problem)
                self._items.append((set_name, problem.id))
        self._tables: dict[int, tuple[Hashes, npt.NDArray[np.int32]]] = {}
        for length, table in sorted(grams.items(), reverse=True):
            keys = np.fromiter(table, np.uint64, len(table))
            items = np.fromiter(table.values(), np.int32, len(table))
            order = np.argsort(keys)
            self._tables[length] = (keys[order], items[order])

    def _add(self, grams: dict[int, dict[int, int]], item: int, problem: Problem) -> None:
        question, solution = words_of(problem.question), words_of(problem.solution)
        for words in (question, words_of(problem.answer), solution):
            if len(words) >= self.n:
                table = grams.setdefault(self.n, {})
                telling = _telling(words, self.n)
                for key in _ngram_hashes(words, self.n)[telling].tolist():
                    table.setdefault(key, item)
        if 0 < len(question) < self.n:
            table = grams.setdefault(len(question), {})
            table.setdefault(_ngram_hashes(question, len(question)).tolist()[0], item)

    def find(self, text: str) -> Match | None:
        """The first shared n-gram of the text, longest kind first; None where there is none."""
        words = words_of(text)
        for length, (keys, items) in self._tables.items():
            if len(words) < length:
                continue
            hashes = _ngram_hashes(words, length)
            places = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
            hits = np.flatnonzero(keys[places] == hashes)
            if len(hits):
                first = int(hits[0])
                set_name, problem_id = self._items[int(items[places[first]])]
                return Match(set_name, problem_id, " ".join(words[first : first + length]))
        return None


def decontaminate(problems: Mapping[str, Sequence[Problem]], n: int = N) -> Step:
    """The step; drops are called `contaminated:<set>`, their excerpt names the problem and the shared words."""
    index = ContaminationIndex(problems, n)

    def step(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
        for document in documents:
            match = index.find(document.text)
            if match is None:
                yield document
            else:
                found = f"{match.problem_id}: {match.words}"
                yield Dropped(f"{REASON}:{match.set_name}", document.id, found)

    return step


def contaminated_problems(
    problems: Iterable[Problem], index: ContaminationIndex
) -> Iterator[tuple[Problem, Match | None]]:
    """Each problem with what its question or solution shares with the index, None for the clean ones."""
    for problem in problems:
        yield problem, index.find(problem.question) or index.find(problem.solution)


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _ngram_hashes(words: Sequence[str], n: int) -> Hashes:
    """Hash of every run of n words: a polynomial in the words' own 64-bit hashes, modulo 2**64.

    Shape (len(words) - n + 1,).
    """
    single = np.fromiter((_word_hash(word) for word in words), np.uint64, len(words))
    count = len(words) - n + 1
    total = np.zeros(count, np.uint64)
    for offset in range(n):
        total = total * _BASE + single[offset : offset + count]
    return total


def _telling(words: Sequence[str], n: int) -> npt.NDArray[np.bool_]:
    """Which runs of n words say enough to prove where they come from. Shape (len(words) - n + 1,)."""
    language = np.cumsum([0] + [_LANGUAGE.fullmatch(word) is not None for word in words])
    inside = language[n:] - language[:-n]
    telling = inside >= min(_LANGUAGE_WORDS, n)
    return telling if telling.any() else inside >= 1
