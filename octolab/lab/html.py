"""Web pages of the small world.

In goes a page's heading and paragraphs, out comes HTML as a careless site would serve it: navigation, scripts,
adverts and a footer around the text, which the real extraction must get rid of.
"""

from __future__ import annotations

import html
import random
from collections.abc import Sequence

_SITES = ("sums-daily", "maths-corner", "number-notes", "home-school", "tiny-lessons")
_MENU = ("Home", "About", "Lessons", "Forum", "Shop", "Contact", "Log in", "Sitemap")
_ADVERTS = ("Win a free phone today", "Subscribe to our newsletter", "Best prices on shoes")


def page(rng: random.Random, heading: str, paragraphs: Sequence[str]) -> str:
    """A whole page; `paragraphs` may be empty, then nothing but boilerplate is left."""
    site = rng.choice(_SITES)
    menu = "".join(f'<li><a href="/{item.lower()}">{item}</a></li>' for item in rng.sample(_MENU, 5))
    body = "\n".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    title = f"<h1>{html.escape(heading)}</h1>\n" if paragraphs else ""
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{site}</title>"
        f"<style>p {{ margin: {rng.randint(1, 9)}px }}</style>"
        f"<script>var visit = {rng.randint(1000, 9999)};</script></head>\n<body>\n"
        f"<header><nav><ul>{menu}</ul></nav></header>\n"
        f"<main><article>\n{title}{body}\n</article></main>\n"
        f"<aside class='advert'><a href='/ad'>{rng.choice(_ADVERTS)}</a></aside>\n"
        f"<footer><a href='/terms'>Terms of use</a> <a href='/privacy'>Privacy</a> {site} all rights reserved"
        "</footer>\n</body></html>\n"
    )
