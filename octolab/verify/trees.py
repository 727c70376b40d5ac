r"""Expressions as trees: what they are made of, and small rewritings.

A tree is `(op, *arguments)`: `("n", Fraction)`, `("s", name)`, `("pi",)`, `("e",)`, `("i",)`, `("inf",)`,
`("+" | "*" | "/" | "^" | "pm" | "mp", a, b)`, `("neg" | "!" | "abs" | "floor" | "ceil" | "deg", a)`,
`("root", degree, a)`, `("log", base, a)`, `("binom", a, b)` and `("f", function name, a)`.
"""

from __future__ import annotations

from typing import Any

Tree = tuple[Any, ...]


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
    r"""The trees that `\pm` stands for: one without it, else two, with `\mp` opposite to `\pm`."""
    if not {"pm", "mp"} & operations_of(tree):
        return [tree]
    return [_choose(tree, upper) for upper in (True, False)]


def _choose(tree: Tree, upper: bool) -> Tree:
    op, *parts = tree
    chosen = [_choose(part, upper) if isinstance(part, tuple) else part for part in parts]
    if op in ("pm", "mp"):
        left, right = chosen
        return ("+", left, right if (op == "pm") == upper else ("neg", right))
    return (op, *chosen)
