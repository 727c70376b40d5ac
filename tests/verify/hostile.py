r"""Completions written to break a grader: none is right, and none may cost more than its share.

`hostile(count, seed)` yields (gold, completion) pairs from a dozen families: towers of powers, factorials, huge and
deep text, look-alike letters, code, several answers in one box, restated questions, mutated LaTeX.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

GOLDS = ["5", "0", r"\frac{1}{2}", "0.25", r"\sqrt{17}", "x+1", "(3,4)", "1,-2", "[2,5)", "x=5", "B", "12:00", "2516_8"]
_CODE = [
    "__import__('os').system('touch pwned')",
    "exec(\"open('pwned','w')\")",
    "(lambda: 5)()",
    "print(5)",
    "os.system('true')",
    "''.__class__.__mro__[1].__subclasses__()",
    "{{7*7}}",
    "$(id)",
    "; rm -rf /",
    "<script>alert(5)</script>",
]
_LOOK_ALIKES = ["٥", "五", "𝟓", "５", "Ƽ", "5\u200b5", "\u202e5", "0\u0335", "А", "В", "х+1", "½\u2044½", "①", "⁵"]


def _tower(draw: random.Random, gold: str) -> str:
    base, height = draw.choice(["2", "5", "9", "10", "99", "e", r"\pi"]), draw.randint(3, 40)
    text = base
    for _ in range(height):
        text = f"{base}^{{{text}}}"
    return draw.choice([text, f"{text} - {text} + {gold}", rf"\frac{{{text}}}{{{text}}}", rf"\sin({text})"])


def _factorials(draw: random.Random, gold: str) -> str:
    number = draw.choice(["9", "99", "2004", "10^{10}", "1.5", r"\pi"])
    return draw.choice([
        number + "!" * draw.randint(1, 20), f"({number}!)!", rf"\binom{{{number}!}}{{{number}}}",
        rf"\frac{{{number}!}}{{({number}+1)!}}", "(" * 20 + number + "!)" * 20,
    ])  # fmt: skip


def _long(draw: random.Random, gold: str) -> str:
    piece = draw.choice(["9", "1+", "x", "{", "}", "(", "\\", "$", "-", "1,", r"\frac", r"\text{", " ", "^", "!", "\n"])
    return piece * (draw.choice([400, 5000, 200_000]) // len(piece))


def _deep(draw: random.Random, gold: str) -> str:
    depth = draw.choice([40, 60, 149, 1000, 20_000])
    left, right = draw.choice(
        [("{", "}"), ("(", ")"), ("[", "]"), (r"\sqrt{", "}"), (r"\frac{1}{", "}"), ("-(", ")"), ("|", "|")]
    )
    return left * depth + "1" + right * depth


def _look_alike(draw: random.Random, gold: str) -> str:
    return draw.choice(_LOOK_ALIKES) * draw.randint(1, 3)


def _code(draw: random.Random, gold: str) -> str:
    return draw.choice(_CODE)


def _several(draw: random.Random, gold: str) -> str:
    other = draw.choice(["6", "-7", r"\frac{2}{7}", "y", "C"])
    separators = [
        *(" or ", r" \text{ or } ", " and ", "; ", ", ", r" \quad ", r"\\", " & ", "|", r" \lor ", r"\cup", r"\pm"),
        *([" = ", " / "] if other.lstrip("-").isdigit() and gold != "0" else []),
    ]
    joiner = draw.choice(separators)
    parts = [gold, other] if draw.random() < 0.5 else [other, gold]
    return joiner.join(parts + ([draw.choice(["8", "9"])] if draw.random() < 0.5 else []))


def _restated(draw: random.Random, gold: str) -> str:
    a = draw.randint(1, 50)
    return draw.choice([
        rf"\sum_{{k=1}}^{{{a}}} k", rf"\int_0^{{{a}}} x\,dx", rf"\lim_{{x\to {a}}} x", rf"\prod_{{i=1}}^{a} i",
        rf"\int_0^1 {gold}\,dx", rf"\max({gold}, {gold})", "x", "n", "?", r"\ldots", "answer",
        rf"\sqrt{{({gold})^2}} + 0 \cdot k", f"not {gold}", rf"\neg {gold}",
    ])  # fmt: skip


_NOTHING = [
    *("", " ", "$$", r"\text{}", "{}", ".", "nan", "NaN", "None", "null", r"\emptyset", "0/0", r"\frac{0}{0}", "TBD"),
]


def _nothing(draw: random.Random, gold: str) -> str:
    return draw.choice(_NOTHING)


def _mutated(draw: random.Random, gold: str) -> str:
    text = list(gold)
    for _ in range(draw.randint(1, 3)):
        text.insert(draw.randint(0, len(text)), draw.choice(["9", "7", "\\", "{", "_", "8", "@", "#"]))
    return "".join(text)


FAMILIES: list[Callable[[random.Random, str], str]] = [
    *(_tower, _factorials, _long, _deep, _look_alike, _code, _several, _restated, _nothing, _mutated),
]


def hostile(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """`count` pairs of a gold and a completion that must not be accepted."""
    draw = random.Random(seed)
    for number in range(count):
        gold = GOLDS[draw.randrange(len(GOLDS))]
        if number % 97 == 50:  # megabytes
            yield gold, draw.choice(["a =", "answer is ", r"\boxed{", "{", "9"]) * (10_000_000 // 8) + r"\boxed{@}"
            continue
        text = FAMILIES[number % len(FAMILIES)](draw, gold)
        yield (
            gold,
            draw.choice([rf"So \boxed{{{text}}}.", rf"\boxed{{{gold}}} no, \boxed{{{text}}}", rf"$\boxed{{{text}}}$"]),
        )
