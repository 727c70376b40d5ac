r"""MathML to LaTeX.

In goes the HTML of a `<math>` element, out comes LaTeX. The author's own LaTeX is taken where the element carries
it (`<annotation encoding="application/x-tex">`, then the attribute `alttext`); else presentation MathML is translated
by its structure. Elements that are not known contribute what is inside them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

MAX_DEPTH = 100

# Characters of <mi>, <mo> and <mn> that LaTeX writes as commands.
SYMBOLS = {
    **{chr(0x3B1 + i): f"\\{name}" for i, name in enumerate(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma sigma tau "
        "upsilon phi chi psi omega".split()
    )},
    "Γ": "\\Gamma", "Δ": "\\Delta", "Θ": "\\Theta", "Λ": "\\Lambda", "Ξ": "\\Xi", "Π": "\\Pi", "Σ": "\\Sigma",
    "Υ": "\\Upsilon", "Φ": "\\Phi", "Ψ": "\\Psi", "Ω": "\\Omega", "ϕ": "\\phi", "φ": "\\varphi", "ϵ": "\\epsilon",
    "ε": "\\varepsilon", "ϑ": "\\vartheta", "ϱ": "\\varrho", "ℓ": "\\ell", "ℏ": "\\hbar", "ℜ": "\\Re", "ℑ": "\\Im",
    "ℵ": "\\aleph", "∂": "\\partial", "∇": "\\nabla", "∞": "\\infty", "∅": "\\emptyset", "∀": "\\forall",
    "∃": "\\exists", "¬": "\\neg", "∈": "\\in", "∉": "\\notin", "∋": "\\ni", "⊂": "\\subset", "⊆": "\\subseteq",
    "⊃": "\\supset", "⊇": "\\supseteq", "∪": "\\cup", "∩": "\\cap", "∖": "\\setminus", "∧": "\\wedge", "∨": "\\vee",
    "⊕": "\\oplus", "⊗": "\\otimes", "⊥": "\\perp", "∥": "\\parallel", "∠": "\\angle", "∑": "\\sum", "∏": "\\prod",
    "∐": "\\coprod", "∫": "\\int", "∬": "\\iint", "∭": "\\iiint", "∮": "\\oint", "√": "\\sqrt", "±": "\\pm",
    "∓": "\\mp",
    "×": "\\times", "÷": "\\div", "·": "\\cdot", "⋅": "\\cdot", "∘": "\\circ", "∗": "*", "⋆": "\\star", "•": "\\bullet",
    "≤": "\\le", "≥": "\\ge", "⩽": "\\leqslant", "⩾": "\\geqslant", "≠": "\\ne", "≈": "\\approx", "≡": "\\equiv",
    "≅": "\\cong", "≃": "\\simeq", "∼": "\\sim", "∝": "\\propto", "≪": "\\ll", "≫": "\\gg", "≺": "\\prec",
    "≻": "\\succ",
    "→": "\\to", "←": "\\leftarrow", "↔": "\\leftrightarrow", "⇒": "\\Rightarrow", "⇐": "\\Leftarrow",
    "⇔": "\\Leftrightarrow", "↦": "\\mapsto", "⟶": "\\longrightarrow", "⟹": "\\implies", "⟺": "\\iff", "↑": "\\uparrow",
    "↓": "\\downarrow", "…": "\\ldots", "⋯": "\\cdots", "⋮": "\\vdots", "⋱": "\\ddots", "⟨": "\\langle",
    "⟩": "\\rangle",
    "〈": "\\langle", "〉": "\\rangle", "⌊": "\\lfloor", "⌋": "\\rfloor", "⌈": "\\lceil", "⌉": "\\rceil", "‖": "\\|",
    "∣": "\\mid", "′": "'", "″": "''", "−": "-", "°": "^\\circ", "†": "\\dagger", "ℝ": "\\mathbb{R}",
    "ℕ": "\\mathbb{N}",
    "ℤ": "\\mathbb{Z}", "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}", "{": "\\{", "}": "\\}", "%": "\\%", "#": "\\#",
    "&": "\\&", "$": "\\$", "_": "\\_", "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "", "\u200b": "",
    "\u00a0": " ", "\u2009": " ",
}  # fmt: skip
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan ln log lg exp lim max min sup inf det dim ker "
    "gcd deg arg hom Pr limsup liminf".split()
)
_VARIANTS = {
    "bold": "mathbf", "double-struck": "mathbb", "script": "mathcal", "fraktur": "mathfrak", "sans-serif": "mathsf",
    "bold-italic": "boldsymbol", "monospace": "mathtt",
}  # fmt: skip
_ACCENTS = {
    "¯": "overline", "‾": "overline", "_": "underline", "̲": "underline", "^": "hat", "ˆ": "hat", "~": "tilde",
    "˜": "tilde", "→": "vec", "⃗": "vec", "˙": "dot",
    "¨": "ddot", "ˇ": "check", "⏞": "overbrace", "⏟": "underbrace",
}  # fmt: skip
_LARGE = frozenset(
    ["\\sum", "\\prod", "\\coprod", "\\int", "\\lim", "\\max", "\\min", "\\sup", "\\inf", "\\bigcup", "\\bigcap"]
)
_COMMAND_END = re.compile(r"\\[A-Za-z]+$")


@dataclass(slots=True)
class Element:
    """An element of MathML: a small tree of our own, since walking the page's tree from Python is slow."""

    tag: str
    attributes: str = ""
    parts: list[Element | str] = field(default_factory=list)

    @property
    def children(self) -> list[Element]:
        return [part for part in self.parts if isinstance(part, Element)]

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def get(self, name: str) -> str:
        """An attribute's value, "" where it has none."""
        found = re.search(rf"(?:^|\s){name}\s*=\s*\"([^\"]*)\"", self.attributes, re.IGNORECASE)
        return unescape(found[1]) if found else ""


_MARKUP = re.compile(r"<!--.*?-->|<(/?)([A-Za-z][\w:-]*)([^>]*?)(/?)>|([^<]+)|<", re.DOTALL)


def parse_mathml(html: str) -> Element:
    """The tree of a serialised element. What is not closed is closed at the end; deep nesting is flattened."""
    root = Element("")
    opened = [root]
    for closing, name, attributes, empty, text in (found.groups() for found in _MARKUP.finditer(html)):
        if text:
            opened[-1].parts.append(unescape(text))
        elif name and closing:
            tag = _local(name)
            if any(one.tag == tag for one in opened[1:]):
                while opened.pop().tag != tag:
                    pass
        elif name:
            element = Element(_local(name), attributes)
            opened[-1].parts.append(element)
            if not empty and len(opened) < MAX_DEPTH:
                opened.append(element)
    return root.children[0] if root.children else root


def _local(name: str) -> str:
    return name.lower().rpartition(":")[2]


def mathml_to_latex(html: str) -> str:
    """LaTeX of a `<math>` element, given as HTML; "" where there is nothing in it."""
    element = parse_mathml(html)
    annotation = _annotation(element)
    latex = annotation.text if annotation is not None else element.get("alttext")
    if latex.strip():
        return clean(latex)
    return clean(_row(element, 0))


def _annotation(element: Element) -> Element | None:
    for child in element.children:
        if child.tag == "annotation" and "tex" in child.get("encoding").lower():
            return child
        found = _annotation(child)
        if found is not None:
            return found
    return None


def clean(latex: str) -> str:
    r"""On one line, without a `{\displaystyle ...}` around all of it and without delimiters of its own."""
    latex = " ".join(latex.split())
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if latex.startswith(opening) and latex.endswith(closing) and len(latex) > len(opening) + len(closing):
            latex = latex[len(opening) : -len(closing)].strip()
    found = re.fullmatch(r"\{\\(?:displaystyle|textstyle)\s(.*)\}", latex)
    if found and _balanced(found[1]):
        latex = found[1].strip()
    return re.sub(r"^\\displaystyle\s+", "", latex)


def _balanced(text: str) -> bool:
    depth = 0
    for token in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return False
    return depth == 0


def _joined(parts: list[str]) -> str:
    """Side by side, with a space only where a command would swallow a letter."""
    text = ""
    for part in parts:
        if not part:
            continue
        if part[0].isalpha() and _COMMAND_END.search(text):
            text += " "
        text += part
    return text


def _row(node: Element, depth: int) -> str:
    return _joined([_latex(child, depth + 1) for child in node.children])


def _group(latex: str) -> str:
    """An argument in braces."""
    return f"{{{latex}}}"


def _base(latex: str) -> str:
    """A base that takes a script: braces where it is more than one sign."""
    if len(latex) == 1 or re.fullmatch(r"\\[A-Za-z]+|\\[A-Za-z]+\{[^{}]*\}|[0-9.]+|[A-Za-z]'*|\\right.", latex):
        return latex
    return latex if latex[-1:] in ")]|" else _group(latex)


def _characters(text: str) -> str:
    return _joined([SYMBOLS.get(character, character) for character in text.strip()])


def _latex(node: Element, depth: int) -> str:
    if depth > MAX_DEPTH:
        return " ".join(node.text.split())
    tag = node.tag
    handler = _HANDLERS.get(tag)
    if handler is not None:
        return handler(node, depth)
    return _row(node, depth) if node.children else ""


def _identifier(node: Element, depth: int) -> str:
    text = node.text.strip()
    if text in _FUNCTIONS:
        return f"\\{text}"
    variant = _VARIANTS.get(node.get("mathvariant"))
    latex = _characters(text)
    if variant:
        return f"\\{variant}{{{latex}}}"
    if len(text) > 1 and text.isalpha() and text.isascii():
        return f"\\mathrm{{{latex}}}"
    return latex


def _number(node: Element, depth: int) -> str:
    return _characters(node.text)


def _operator(node: Element, depth: int) -> str:
    text = node.text.strip()
    if text in _FUNCTIONS:
        return f"\\{text}"
    if len(text) > 1 and text.isalpha() and text.isascii():
        return f"\\operatorname{{{text}}}"
    latex = _characters(text)
    return f"{latex} " if latex in (",", ";") else latex


def _text(node: Element, depth: int) -> str:
    text = re.sub(r"\s+", " ", node.text)
    return f"\\text{{{text}}}" if text.strip() else " " if text else ""


def _fraction(node: Element, depth: int) -> str:
    top, bottom = _two(node, depth)
    if node.get("linethickness").startswith("0"):
        return f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{top}}}{{{bottom}}}"
    return f"\\frac{{{top}}}{{{bottom}}}"


def _root(node: Element, depth: int) -> str:
    inside, degree = _two(node, depth)
    return f"\\sqrt[{degree}]{{{inside}}}"


def _two(node: Element, depth: int) -> tuple[str, str]:
    parts = [_latex(child, depth + 1) for child in node.children]
    return (*parts, "", "")[0], (*parts, "", "")[1]


def _scripts(node: Element, depth: int) -> str:
    tag = node.tag
    parts = [_latex(child, depth + 1) for child in node.children]
    base, *scripts = parts or [""]
    base = _base(base)
    if tag == "msup":
        script = (scripts or [""])[0]
        return f"{base}{script}" if set(script) == {"'"} else f"{base}^{_group(script.removeprefix('^'))}"
    if tag == "msub":
        return f"{base}_{_group((scripts or [''])[0])}"
    below, above = (*scripts, "", "")[:2]
    return f"{base}_{_group(below)}^{_group(above)}"


def _over(node: Element, depth: int) -> str:
    tag = node.tag
    children = node.children
    parts = [_latex(child, depth + 1) for child in children]
    base, *others = parts or [""]
    raw = [child.text.strip() for child in children[1:]]
    if tag == "munderover":
        below, above = (*others, "", "")[:2]
        return f"{_base(base)}_{_group(below)}^{_group(above)}"
    accent = _ACCENTS.get(raw[0]) if raw else None
    if accent:
        return f"\\{accent}{{{base}}}"
    other = (others or [""])[0]
    if tag == "munder":
        return f"{base}_{_group(other)}" if base in _LARGE else f"\\underset{{{other}}}{{{base}}}"
    return f"{base}^{_group(other)}" if base in _LARGE else f"\\overset{{{other}}}{{{base}}}"


def _fenced(node: Element, depth: int) -> str:
    opening = SYMBOLS.get(node.get("open") or "(", node.get("open") or "(")
    closing = SYMBOLS.get(node.get("close") or ")", node.get("close") or ")")
    parts = [_latex(child, depth + 1) for child in node.children]
    separator = (node.get("separators") or ",").strip()[:1]
    return _joined([f"\\left{opening}", f"{separator} ".join(parts), f"\\right{closing}"])


def _table(node: Element, depth: int) -> str:
    rows = [child for child in node.children if child.tag in ("mtr", "mlabeledtr")]
    cells = [[_row(cell, depth + 2) for cell in row.children] for row in rows]
    body = r" \\ ".join(" & ".join(row) for row in cells)
    columns = max((len(row) for row in cells), default=0)
    return f"\\begin{{array}}{{{'c' * columns}}} {body} \\end{{array}}"


def _nothing(node: Element, depth: int) -> str:
    return ""


def _space(node: Element, depth: int) -> str:
    return r" \\ " if node.get("linebreak") == "newline" else " "


def _semantics(node: Element, depth: int) -> str:
    children = node.children
    return _latex(children[0], depth + 1) if children else ""


_HANDLERS = {
    "mi": _identifier, "mn": _number, "mo": _operator, "mtext": _text, "ms": _text, "mfrac": _fraction,
    "msqrt": lambda node, depth: f"\\sqrt{{{_row(node, depth)}}}", "mroot": _root, "msup": _scripts, "msub": _scripts,
    "msubsup": _scripts, "mover": _over, "munder": _over, "munderover": _over, "mfenced": _fenced, "mtable": _table,
    "mspace": _space, "semantics": _semantics, "annotation": _nothing, "annotation-xml": _nothing, "mphantom": _nothing,
    "none": _nothing, "mprescripts": _nothing,
}  # fmt: skip
