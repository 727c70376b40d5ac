"""URL filters: pages whose address says that they are not wanted.

In go documents with `metadata["url"]`, out come those whose address passes; documents without an address pass. The
built-in words are few and sure (adult pages, gambling, piracy); a list of domains, such as UT1's, comes from the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from octolab.corpus.document import Document, Dropped, Step
from octolab.errors import UserError

WORDS = (
    *("porn", "xxx", "sex", "nude", "escort", "hentai", "camgirl", "milf", "casino", "poker", "roulette", "betting"),
    *("slots", "jackpot", "torrent", "warez", "keygen", "viagra", "cialis"),
)
_PARTS = re.compile(r"[a-z]+")


def url_filter(
    words: Sequence[str] = WORDS, blocked: str | None = None, allowed: str | None = None, types: Sequence[str] = ()
) -> Step:
    """The step; drops are called `url:word`, `url:domain` or `url:type`.

    words: whole words of the address (split at everything but letters) that drop a page. blocked, allowed: files with
    one domain a line, whose subdomains count too; an allowed domain passes whatever else applies. types: endings of
    the path, such as `pdf`, that drop a page. Raises UserError if a file is missing.
    """
    unwanted, stopped, trusted = frozenset(words), _domains(blocked), _domains(allowed)
    endings = tuple(f".{ending.lstrip('.').lower()}" for ending in types)

    def reason(url: str) -> str | None:
        try:
            parts = urlsplit(url.lower() if "//" in url else f"//{url.lower()}")
            host = parts.hostname or ""
        except ValueError:
            return None
        levels = host.split(".")
        domains = {".".join(levels[place:]) for place in range(len(levels))}
        if domains & trusted:
            return None
        if domains & stopped:
            return "domain"
        if endings and parts.path.endswith(endings):
            return "type"
        return "word" if unwanted & set(_PARTS.findall(f"{host}{parts.path}")) else None

    def step(documents: Iterable[Document]) -> Iterator[Document | Dropped]:
        for document in documents:
            url = document.metadata.get("url")
            why = reason(url) if isinstance(url, str) and url else None
            yield document if why is None else Dropped(f"url:{why}", document.id, str(url)[:160])

    return step


def _domains(path: str | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    if not Path(path).is_file():
        raise UserError(f"list of domains {path} does not exist; give a file with one domain a line")
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(line.strip().lower() for line in lines if line.strip() and not line.startswith("#"))
