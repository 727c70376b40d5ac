r"""Expressions as trees: what they are made of, and small rewritings.

A tree is `(op, *arguments)`: `("n", Fraction)`, `("s", name)`, `("pi",)`, `("e",)`, `("i",)`, `("inf",)`,
`("+" | "*" | "/" | "^" | "pm" | "mp", a, b)`, `("neg" | "!" | "abs" | "floor" | "ceil" | "deg", a)`,
`("root", degree, a)`, `("log", base, a)`, `("binom", a, b)` and `("f", function name, a)`.
"""

from __future__ import annotations

from itertools import product
from typing import Any

Tree = tuple[Any, ...]
MAX_SIGNS = 3


def symbols_of(tree: Tree) -> set[str]:
    """Names of the free symbols."""
    if tree[0] == "s":
        return {tree[1]}
    return {name for part in tree[1:] if isinstance(part, tuple) for name in symbols_of(part)}


def operations_of(tree: Tree) -> set[str]:
    """The operations that occur, functions by name."""
    found = {tree[1] if tree[0] == "f" else tree[0]}
    return found.union(*(operations_of(part) for part in tree[1:] if isinstance(part, tuple)))


def rename(tree: Tree, names: dict[str, str]) -> Tree:
    """The tree with symbols renamed."""
    if tree[0] == "s":
        return ("s", names.get(tree[1], tree[1]))
    return (tree[0], *(rename(part, names) if isinstance(part, tuple) else part for part in tree[1:]))


def signs_chosen(tree: Tree) -> list[Tree]:
    r"""The trees that `\pm` stands for: every choice of signs, but with `\mp` all signs are tied. [] if too many."""
    count = _signs(tree)
    if count > MAX_SIGNS:
        return []
    tied = "mp" in operations_of(tree)
    choices = [(True,) * count, (False,) * count] if tied else product((True, False), repeat=count)
    return [_choose(tree, list(choice)) for choice in choices] if count else [tree]


def _signs(tree: Tree) -> int:
    own = tree[0] in ("pm", "mp")
    return own + sum(_signs(part) for part in tree[1:] if isinstance(part, tuple))


def _choose(tree: Tree, upper: list[bool]) -> Tree:
    """The tree with its signs chosen; takes one entry of `upper` for each."""
    op, *parts = tree
    sign = (op == "pm") == upper.pop() if op in ("pm", "mp") else True
    chosen = [_choose(part, upper) if isinstance(part, tuple) else part for part in parts]
    if op in ("pm", "mp"):
        left, right = chosen
        right = right if sign else ("neg", right)
        return right if left == ("n", 0) else ("+", left, right)
    return (op, *chosen)
