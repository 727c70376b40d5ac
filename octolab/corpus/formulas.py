r"""Formulas of a web page as LaTeX.

In goes a page's HTML, out comes a parsed page in which every formula that HTML hides (MathML, KaTeX, MathJax scripts,
AsciiMath, images, sub- and superscripts) is an opaque mark that text extraction cannot damage, and a `Formulas` that
turns the marks, and whatever delimiters the page's own MathJax or KaTeX uses, into `$...$` and `$$...$$` afterwards.
Pages without any of these are told by one regular expression and pass untouched.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from octolab.corpus.asciimath import asciimath_to_latex
from octolab.corpus.mathml import clean, mathml_to_latex
from octolab.corpus.native import library

# What a page has that hides formulas, looked for in its lower case: a plain search is much faster than a pattern.
_HIDDEN = (
    *("<math", "<mjx-", "<sup", "<sub", 'type="math/', "type='math/", "katex", "mathjax", "mwe-math", "latex"),
    *("codecogs", "mathtex.cgi", "mimetex.cgi", "cht=tx", 'class="tex"'),
)
_DELIMITED = re.compile(r"\\\(|\\\[|\\begin\{|\$\$|\$[^\s$]|inlineMath|displayMath|delimiters|asciimath", re.IGNORECASE)
_LIBRARY = ("mathjax", "katex", "asciimath", "tex2jax")
_WORDS = b"\0".join(word.encode() for word in dict.fromkeys(_HIDDEN + _LIBRARY)) + b"\0\0"
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
# What LaTeX images are served by, with the formula in the address.
_IMAGE_URL = re.compile(
    r"(?:latex\.php\?.*?latex=|codecogs\.com/[a-z.]*?(?:latex|image)\?|(?:mathtex|mimetex)\.cgi\?|[?&]cht=tx.*?[?&]chl=)([^#]+)"
    r"|chart\?.*?chl=([^&#]+).*?cht=tx",
    re.IGNORECASE,
)
_IMAGE_CLASS = re.compile(r"\b(?:latex|tex|math|mwe-math-fallback-image-\w+|ee_img|wp-katex-eq)\b", re.IGNORECASE)
_LOOKS_LIKE_LATEX = re.compile(r"\\[A-Za-z]+|[\^_]\{?\w|^[A-Za-z]$|[=<>+]")
_NOTE = re.compile(r"(?:\[.*\]|st|nd|rd|th|tm|®|™|[a-z]?\*+|†)", re.IGNORECASE)
_INLINE = frozenset("i em b strong var span sub sup code tt".split())
_SETTING = re.compile(r"(inlineMath|displayMath|delimiters)[\"']?\s{0,5}:\s{0,5}(?=\[)")
_PAIR = re.compile(r"\[\s{0,9}([\"'])(.{1,40}?)\1\s{0,9},\s{0,9}([\"'])(.{1,40}?)\3")
_KATEX_PAIR = re.compile(
    r"left[\"']?\s{0,9}:\s{0,9}([\"'])(.{1,40}?)\1\s{0,9},\s{0,9}[\"']?right[\"']?\s{0,9}:\s{0,9}([\"'])(.{1,40}?)\3"
    r"(?:\s{0,9},\s{0,9}[\"']?display[\"']?\s{0,9}:\s{0,9}(true|false))?"
)
MAX_SETTING = 1500  # characters of one list of delimiters
_RENDERED = ".MathJax_Preview, .MathJax, .MathJax_Display, .MathJax_SVG, .MathJax_CHTML"
_IMAGE_STYLE = re.compile(r"\\(?:inline|displaystyle|dpi\{\d+\}|bg_\w+|fn_\w+)\s*")  # for the server of the image
# Tags that are closed in any case; a page of unclosed <p> and <li> is not deep.
_TAG = re.compile(
    r"<(/?)(?:m[a-z]+|su[bp]|div|span|table|section|article|b|i|em|strong|font|a|ul|ol|center)[\s>]", re.I
)
MAX_NESTING = 500
MAX_FORMULA = 5000  # characters between two delimiters


@dataclass
class Formulas:
    """The formulas of one page: the texts behind the marks, delimiters, and how many of each kind there were."""

    texts: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str, bool]] = field(default_factory=list)
    asciimath: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def mark(self, text: str, kind: str | None) -> str:
        """An opaque mark for a text; `kind` is counted."""
        if kind:
            self.counts[kind] = self.counts.get(kind, 0) + 1
        self.texts.append(text)
        return f"{_OPEN}{len(self.texts) - 1}{_CLOSE}"

    def restore(self, text: str) -> str:
        """The extracted text with its delimiters as `$` and `$$` and its marks as what they stand for."""
        for opening, closing, display in self.pairs:
            text = self._undelimited(text, opening, closing, display)
        if self.asciimath:
            text = re.sub(
                r"`([^`\n]{1,2000})`",
                lambda found: self.mark(_wrapped(asciimath_to_latex(found[1]), False), "asciimath"),
                text,
            )
        for _ in range(3):  # marks within formulas
            text, changed = _MARK.subn(lambda found: self.texts[int(found[1])], text)
            if not changed:
                break
        return text.replace("$\\begingroup$", "").replace("$\\endgroup$", "")  # Stack Exchange puts them around posts

    def _undelimited(self, text: str, opening: str, closing: str, display: bool) -> str:
        """The text with what stands between two delimiters as marks; linear in the text."""
        parts, begin, place = [], 0, text.find(opening)
        while place >= 0:
            start = place + len(opening)
            end = text.find(closing, start, start + MAX_FORMULA + len(closing))
            if end < 0:
                if text.find(closing, start) < 0:
                    break
                place = text.find(opening, start)
                continue
            parts += [text[begin:place], self._delimited(text[start:end], display)]
            begin = end + len(closing)
            place = text.find(opening, begin)
        return "".join([*parts, text[begin:]])

    def _delimited(self, inside: str, display: bool) -> str:
        return self.mark(_wrapped(clean(inside), display), "delimited") if inside.strip() else inside


def _wrapped(latex: str, display: bool) -> str:
    return f"$${latex}$$" if display else f"${latex}$"


def has_formulas(html: str) -> bool:
    """Whether a page may hold formulas that plain extraction would lose or leave in odd delimiters."""
    if not _may_have(html):
        return False
    lower = html.lower()
    delimited = _has(lower, _LIBRARY) and _DELIMITED.search(html) is not None
    return (delimited or _has(lower, _HIDDEN)) and not _too_deep(html)


def _may_have(html: str) -> bool:
    """Whether any word that tells of formulas occurs: one pass in C++; True where there is no compiler."""
    compiled = library("scan")
    if compiled is None:
        return True
    text = html.encode("utf-8", "surrogatepass")
    return compiled.octolab_first_word(ctypes.c_char_p(text), ctypes.c_int64(len(text)), _WORDS) >= 0


def _has(lower: str, words: tuple[str, ...]) -> bool:
    return any(word in lower for word in words)


def _too_deep(html: str) -> bool:
    """Whether elements are nested more than `MAX_NESTING` deep, where each look at the page's tree becomes slow."""
    depth = 0
    for found in _TAG.finditer(html):
        depth += -1 if found[1] else 1
        if depth > MAX_NESTING:
            return True
    return False


def mark_formulas(html: str) -> tuple[Any, Formulas]:
    """(parsed page with marks, what they stand for). The parse is resiliparse's and never fails on a str."""
    from resiliparse.parse.html import HTMLTree

    formulas = Formulas()
    lower = html.lower()
    if _has(lower, _LIBRARY):
        formulas.pairs = delimiters(html)
        formulas.asciimath = "asciimath" in lower
    tree = HTMLTree.parse(html)
    if tree.body is None:
        return tree, formulas
    if formulas.pairs:
        _protect_code(tree, formulas)
    if _has(lower, _HIDDEN):
        _mark_scripts(tree, formulas)
        _mark_mathml(tree, formulas)
        _mark_images(tree, formulas)
        _mark_scripts_of_letters(tree, formulas)
    return tree, formulas


def delimiters(html: str) -> list[tuple[str, str, bool]]:
    r"""(opening, closing, display) of a page: the usual ones and those that its own configuration names.

    `$...$` and `$$...$$` are what the text will have anyway and need no pair.
    """
    pairs = [("\\(", "\\)", False), ("\\[", "\\]", True)]
    for found in _SETTING.finditer(html):
        listed = _bracketed(html[found.end() : found.end() + MAX_SETTING])
        if found[1] == "delimiters":
            for pair in _KATEX_PAIR.finditer(listed):
                pairs.append((_unescaped(pair[2]), _unescaped(pair[4]), pair[5] != "false"))
        else:
            display = found[1] == "displayMath"
            pairs += [(_unescaped(pair[2]), _unescaped(pair[4]), display) for pair in _PAIR.finditer(listed)]
    usable = [pair for pair in pairs if pair[0] and pair[1] and pair[0] not in ("$", "$$", "`")]
    return sorted(dict.fromkeys(usable), key=lambda pair: -len(pair[0]))


def _bracketed(text: str) -> str:
    """The text up to where its first bracket closes, or all of it."""
    depth = 0
    for found in re.finditer(r"\\.|[\[\]]", text):
        depth += {"[": 1, "]": -1}.get(found[0], 0)
        if depth == 0 and found[0] == "]":
            return text[: found.end()]
    return text


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _replace(tree: Any, node: Any, text: str, display: bool = False) -> None:
    new = tree.create_text_node(text)
    if display:
        block = tree.create_element("div")
        block.append_child(new)
        new = block
    if node.parent is not None:
        node.parent.replace_child(new, node)


def _protect_code(tree: Any, formulas: Formulas) -> None:
    """Delimiters in code are code."""
    for node in tree.body.query_selector_all("code, textarea, pre"):
        children = node.child_nodes
        if len(children) == 1 and not node.query_selector_all("*") and re.search(r"[\\`]", node.text or ""):
            _replace(tree, children[0], formulas.mark(node.text, None))


def _mark_scripts(tree: Any, formulas: Formulas) -> None:
    """MathJax 2: the source in `<script type="math/tex">`, what was rendered of it beside."""
    nodes = tree.body.query_selector_all('script[type^="math/"]')
    if nodes:
        for rendered in tree.body.query_selector_all(_RENDERED):
            if not rendered.query_selector_all('script[type^="math/"]'):
                rendered.decompose()
    for node in nodes:
        kind, source = (node.getattr("type") or "").lower(), node.text or ""
        display = "mode=display" in kind.replace(" ", "")
        if "asciimath" in kind:
            _replace(tree, node, formulas.mark(_wrapped(asciimath_to_latex(source), display), "asciimath"), display)
        elif "mml" in kind:
            _replace(tree, node, formulas.mark(_wrapped(_latex_of(source), display), "mathml"), display)
        elif source.strip():
            _replace(tree, node, formulas.mark(_wrapped(clean(source), display), "mathjax_script"), display)


def _latex_of(mathml: str) -> str:
    from resiliparse.parse.html import HTMLTree

    body = HTMLTree.parse(mathml).body
    found = body.query_selector_all("math") if body is not None else []
    return mathml_to_latex(found[0].html) if found else ""


def _mark_mathml(tree: Any, formulas: Formulas) -> None:
    """MathML, and the containers of KaTeX, MathJax 3 and Wikipedia that hold it beside a rendering of the same."""
    for container in tree.body.query_selector_all(".katex-display, .katex, mjx-container, .mwe-math-element"):
        if container.parent is None:
            continue
        found = container.query_selector_all("math")
        classes = container.getattr("class") or ""
        display = "katex-display" in classes or container.getattr("display") == "true"
        if found:
            latex = mathml_to_latex(found[0].html)
            display = display or found[0].getattr("display") == "block"
            kind = "katex" if "katex" in classes else "mathml"
            if latex:
                _replace(tree, container, formulas.mark(_wrapped(latex, display), kind), display)
    for node in tree.body.query_selector_all("math"):
        if node.parent is None or node.parent.tag == "math":
            continue
        latex = mathml_to_latex(node.html)
        display = node.getattr("display") == "block" or node.getattr("mode") == "display"
        if latex:
            _replace(tree, node, formulas.mark(_wrapped(latex, display), "mathml"), display)


def _mark_images(tree: Any, formulas: Formulas) -> None:
    for node in tree.body.query_selector_all("img"):
        source, alt = node.getattr("src") or node.getattr("data-src") or "", (node.getattr("alt") or "").strip()
        found = _IMAGE_URL.search(source[:MAX_FORMULA])
        latex = ""
        if found:
            raw = re.sub(r"&(?:amp;)?space;", " ", found[1] or found[2]).replace("&plus;", "+").split("&")[0]
            latex = alt if _LOOKS_LIKE_LATEX.search(alt) else (unquote_plus if "%20" not in raw else unquote)(raw)
            latex = _IMAGE_STYLE.sub("", latex)
        elif _IMAGE_CLASS.search(node.getattr("class") or "") and _LOOKS_LIKE_LATEX.search(alt):
            latex = alt
        if latex.strip():
            _replace(tree, node, formulas.mark(_wrapped(clean(latex), False), "image"))


def _mark_scripts_of_letters(tree: Any, formulas: Formulas) -> None:
    """`x<sup>2</sup>` as x^{2}; not footnotes, ordinals and trade marks."""
    for node in tree.body.query_selector_all("sup, sub"):
        inside, before = node.first_child, node.prev
        if inside is None or inside.tag != "#text" or inside.next is not None or before is None:
            continue
        text = (inside.value or "").strip()
        behind = before.value if before.tag == "#text" else before.text if before.tag in _INLINE else ""
        if not re.search(r"[\w)\]}\ue001]\s?$", behind or "") or not 0 < len(text) <= 20 or _NOTE.fullmatch(text):
            continue
        _replace(tree, node, formulas.mark(f"{'^' if node.tag == 'sup' else '_'}{{{text}}}", "script"))
