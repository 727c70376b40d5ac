"""Drawing the road: the laid-out cards as an inline SVG for wide screens and as a list for narrow ones.

In go cards, rows of sources and places of the model tree (see road.py); out comes HTML whose colours are the
page's custom properties, so that the picture follows light and dark.
"""

from __future__ import annotations

from dataclasses import dataclass

from octolab.report.text import esc, percent

WIDTH, HEIGHT, GAP_X, GAP_Y, TOP = 168, 84, 34, 16, 26
MOST_SOURCES = 12


@dataclass(frozen=True)
class Card:
    """One node of the picture."""

    kind: str
    title: str
    lines: tuple[str, ...]
    tone: str = ""
    bar: tuple[tuple[str, int, float], ...] = ()  # (source, palette index, share)
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Place:
    """A card at a column and row of the model tree; `parent` is the index of the place it grew from."""

    card: Card
    column: int
    row: int
    parent: int | None


def svg(text: list[Card], shards: list[tuple[str, int, str]], places: list[Place]) -> str:
    """The road as an SVG picture; each card shows its full text on hovering."""
    used = sorted({place.column for place in places})
    left = 1 if text or shards else 0
    x_of = {column: (i + left) * (WIDTH + GAP_X) + 1 for i, column in enumerate(used)}
    parts, y = [], float(TOP)
    for card in text:
        height = 34 + 17 * len(card.lines)
        parts.append(_card(card, 1, y, height))
        y += height + GAP_Y
    if shards:
        height = 36 + 17 * min(len(shards), MOST_SOURCES + 1)
        parts.append(_sources(shards, 1, y, height))
        y += height + GAP_Y
    edges = []
    for place in places:
        end = (x_of[place.column], _y(place.row) + HEIGHT / 2)
        if place.parent is not None:
            parent = places[place.parent]
            start = (x_of[parent.column] + WIDTH, _y(parent.row) + HEIGHT / 2)
            edges.append(_edge(start, end, place.card.tone))
        elif left:
            edges.append(_edge((1 + WIDTH, end[1]), end, ""))
        parts.append(_card(place.card, x_of[place.column], _y(place.row), HEIGHT))
    heads = _heads(places, x_of, left)
    bottom = max(y, _y(max((p.row for p in places), default=-1) + 1)) - GAP_Y + 2
    width = (len(used) + left) * (WIDTH + GAP_X) - GAP_X + 2
    label = "From text over base models and mid-training to RL and its results"
    size = f'viewBox="0 0 {width} {bottom:.0f}" style="min-width:{0.84 * width:.0f}px;max-width:{width}px"'
    return f'<svg class="road" {size} role="img" aria-label="{label}">{heads}{"".join(edges)}{"".join(parts)}</svg>'


def _y(row: int) -> float:
    return TOP + row * (HEIGHT + GAP_Y)


def _heads(places: list[Place], x_of: dict[int, int], left: int) -> str:
    names = {"model": "Base", "train": "Mid-training", "rl": "RL", "result": "Solves"}
    told = {place.column: names[place.card.kind] for place in reversed(places)}
    told = {column: name for column, name in told.items() if told.get(column - 1) != name}
    heads = [(1, "Text")] if left else []
    heads += [(x_of[column], told[column]) for column in sorted(told)]
    return "".join(f'<text class="head" x="{x}" y="12">{esc(name)}</text>' for x, name in heads)


def _edge(start: tuple[float, float], end: tuple[float, float], tone: str) -> str:
    """A straight line, or one that leaves its start, turns down half-way across the gap and turns in again."""
    (x0, y0), (x1, y1) = start, end
    paint = f' style="stroke:var(--{tone})"' if tone else ""
    if y0 == y1:
        return f'<path class="edge" d="M{x0} {y0}H{x1}"{paint}/>'
    r = 10
    return f'<path class="edge" d="M{x0} {y0}H{x0 + GAP_X / 2 - r}q{r} 0 {r} {r}V{y1 - r}q0 {r} {r} {r}H{x1}"{paint}/>'


def _fit(text: str, width: float, size: float) -> str:
    """`text` shortened to about `width` pixels."""
    most = int(width / (size * 0.54))
    return text if len(text) <= most else text[: most - 1] + "…"


def _card(card: Card, x: float, y: float, height: float) -> str:
    stripe = (
        f'<rect class="stripe" width="4" height="{height}" rx="2" style="fill:var(--{card.tone})"/>'
        if card.tone
        else ""
    )
    lines = "".join(
        f'<text class="line" x="14" y="{40 + 17 * i}">{esc(_fit(line, WIDTH - 10, 12))}</text>'
        for i, line in enumerate(card.lines)
    )
    title = f'<text class="name" x="14" y="21">{esc(_fit(card.title, WIDTH - 22, 15.5))}</text>'
    drawn = _bar(card.bar, 14, height - 13, WIDTH - 28) + _spark(card.curve, card.tone, height, bool(card.bar))
    hint = esc("\n".join([card.title, *card.lines, *(f"{s}: {percent(part)}" for s, _, part in card.bar)]))
    return (
        f'<g class="card {card.kind}" transform="translate({x} {y:.0f})"><title>{hint}</title>'
        f'<rect class="box" width="{WIDTH}" height="{height}" rx="5"/>{stripe}{title}{lines}{drawn}</g>'
    )


def _bar(bar: tuple[tuple[str, int, float], ...], x: float, y: float, width: float) -> str:
    parts = []
    for _, colour, share in bar:
        wide = max(share * width - 1, 0.5)
        paint = f'style="fill:var(--s{colour})"'
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="5" {paint}/>')
        x += share * width
    return "".join(parts)


def _spark(curve: tuple[float, ...], tone: str, height: float, barred: bool) -> str:
    if len(curve) < 2:
        return ""
    low, high = min(curve), max(curve)
    x0, y0, wide, tall = (WIDTH - 66, height - 35, 52, 15) if barred else (14, height - 20, WIDTH - 28, 12)
    at = [
        (x0 + wide * i / (len(curve) - 1), y0 + tall * (1 - (v - low) / ((high - low) or 1)))
        for i, v in enumerate(curve)
    ]
    paint = f"stroke:var(--{tone})" if tone else ""
    return f'<polyline class="spark" style="{paint}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}"/>'


def _sources(shards: list[tuple[str, int, str]], x: float, y: float, height: float) -> str:
    rows = [
        f'<rect x="14" y="{31 + 17 * i}" width="9" height="9" rx="1.5" style="fill:var(--s{colour})"/>'
        f'<text class="line" x="29" y="{40 + 17 * i}">{esc(_fit(name, 88, 12))}</text>'
        f'<text class="line num" x="{WIDTH - 12}" y="{40 + 17 * i}">{esc(tokens)}</text>'
        for i, (name, colour, tokens) in enumerate(shards[:MOST_SOURCES])
    ]
    if len(shards) > MOST_SOURCES:
        rows.append(
            f'<text class="line" x="29" y="{40 + 17 * MOST_SOURCES}">and {len(shards) - MOST_SOURCES} more</text>'
        )
    return (
        f'<g class="card shards" transform="translate({x} {y:.0f})">'
        f'<rect class="box" width="{WIDTH}" height="{height}" rx="5"/>'
        f'<text class="name" x="14" y="21">Tokens by source</text>{"".join(rows)}</g>'
    )


def listed(text: list[Card], shards: list[tuple[str, int, str]], places: list[Place]) -> str:
    """The road as a nested list."""
    items = [_item(card) for card in text]
    if shards:
        rows = "".join(
            f'<li><i class="swatch" style="background:var(--s{colour})"></i>{esc(name)}<b>{esc(tokens)}</b></li>'
            for name, colour, tokens in shards
        )
        items.append(f'<li><strong>Tokens by source</strong><ul class="sources">{rows}</ul></li>')

    def tree(parent: int | None) -> str:
        grown = [(i, p) for i, p in enumerate(places) if p.parent == parent]
        inner = "".join(_item(p.card, tree(i)) for i, p in grown)
        return f"<ul>{inner}</ul>" if inner else ""

    return f'<ul class="text">{"".join(items)}</ul>{tree(None)}'


def _item(card: Card, below: str = "") -> str:
    paint = f' style="border-color:var(--{card.tone})"' if card.tone else ""
    parts = "".join(
        f'<i style="width:{100 * share:.1f}%;background:var(--s{colour})"></i>' for _, colour, share in card.bar
    )
    bar = f'<span class="mix">{parts}</span>' if parts else ""
    lines = " · ".join(esc(line) for line in card.lines if line)
    return f'<li class="{card.kind}"{paint}><strong>{esc(card.title)}</strong> <span>{lines}</span>{bar}{below}</li>'
