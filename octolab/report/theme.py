"""Colours, in one place for the style sheet and for the plots.

The baseline model is slate and the others are colours; sources have a palette of their own, so that a line of a
mixture is never taken for a model. Every colour has a light and a dark form.
"""

from __future__ import annotations

MODELS = {
    "light": ("#6a727d", "#2b6cb0", "#c2571a", "#2c8158", "#7b4fa3", "#b83264", "#0f7c86", "#857a16"),
    "dark": ("#9ba4af", "#6cb0f0", "#f0945a", "#62c493", "#b894e0", "#ee7aa0", "#4fc3cc", "#cdbf55"),
}
SOURCES = {
    "light": (
        "#4e6a85",
        "#86a982",
        "#d1a054",
        "#b56b5d",
        "#7f6a93",
        "#5f9ea0",
        "#a3a380",
        "#c78fa0",
        "#9c7a5b",
        "#3d6f5c",
        "#b3476b",
        "#93a8c9",
        "#c9b458",
        "#5d5f66",
    ),
    "dark": (
        "#7f9fbf",
        "#a5c6a1",
        "#e0b870",
        "#d18d7f",
        "#a893bd",
        "#82c0c2",
        "#c0c09c",
        "#dcaab8",
        "#bf9b7c",
        "#6fae95",
        "#d97a9b",
        "#b3c3dd",
        "#ddcd7f",
        "#94979f",
    ),
}
SURFACE = {
    "light": {
        "paper": "#fbfaf7",
        "card": "#ffffff",
        "ink": "#1d1c1a",
        "soft": "#4c4a45",
        "muted": "#6f6b64",
        "line": "#e4e0d7",
        "grid": "#eeebe4",
        "good": "#1d7346",
        "bad": "#a8322a",
        "open": "#8a6410",
    },
    "dark": {
        "paper": "#131417",
        "card": "#1a1c20",
        "ink": "#eae7e1",
        "soft": "#c4c0b8",
        "muted": "#9a968e",
        "line": "#2e3036",
        "grid": "#26282d",
        "good": "#6fcf97",
        "bad": "#f08a7e",
        "open": "#e3b95c",
    },
}


def css() -> str:
    """Custom properties: --m0.. for models, --s0.. for sources, and one for each surface."""
    return f":root{{{_block('light')}}}\n@media (prefers-color-scheme: dark){{:root{{{_block('dark')}}}}}\n"


def for_plots() -> dict[str, dict[str, object]]:
    """The same colours for the plots: {"light": {...}, "dark": {...}}."""
    return {mode: {"model": MODELS[mode], "source": SOURCES[mode], **SURFACE[mode]} for mode in SURFACE}


def model_colour(index: int, models: int) -> int:
    """Palette index of a model: slate for the baseline of several, a colour for a model on its own."""
    return (index if models > 1 else index + 1) % len(MODELS["light"])


def _block(mode: str) -> str:
    names = [(f"m{i}", c) for i, c in enumerate(MODELS[mode])] + [(f"s{i}", c) for i, c in enumerate(SOURCES[mode])]
    return "".join(f"--{name}:{colour};" for name, colour in [*names, *SURFACE[mode].items()])
