"""General text of the small world: plain sentences without a question or a sum.

In goes a random stream, out comes a paragraph of a few sentences from a small grammar.
"""

from __future__ import annotations

import random

from octolab.lab.stories import NAMES, THINGS

_PLACES = ("park", "shop", "lake", "hill", "barn", "school", "beach", "garden")
_WEATHER = ("cold", "warm", "wet", "bright", "windy", "quiet")
_ANIMALS = ("dog", "cat", "bird", "horse", "fish", "fox")
_COLOURS = ("red", "blue", "green", "black", "white", "yellow")
_DEEDS = ("walked", "ran", "sat", "slept", "played", "waited")


def paragraph(rng: random.Random, sentences: int | None = None) -> str:
    """A few sentences (3 to 6 unless told) about the same two people."""
    first, second = rng.sample(NAMES, 2)
    count = rng.randint(3, 6) if sentences is None else sentences
    return " ".join(_sentence(rng, first, second) for _ in range(count))


def _sentence(rng: random.Random, first: str, second: str) -> str:
    place, animal, colour = rng.choice(_PLACES), rng.choice(_ANIMALS), rng.choice(_COLOURS)
    forms = (
        f"{first} went to the {place} with {second}.",
        f"It was a {rng.choice(_WEATHER)} day at the {place}.",
        f"The {colour} {animal} {rng.choice(_DEEDS)} near the {place}.",
        f"{second} saw a {colour} {animal} and told {first}.",
        f"{first} {rng.choice(_DEEDS)} while {second} {rng.choice(_DEEDS)}.",
        f"{second} keeps {colour} {rng.choice(THINGS)} in a box by the {place}.",
    )
    return rng.choice(forms)
