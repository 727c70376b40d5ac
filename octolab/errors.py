"""The one exception that means: the user can mend this.

Its message is one sentence that names what was wrong, where, and the nearest fix. The command line prints
the sentence without a traceback and exits with code 2. Anything else that escapes is a defect of OctoLab.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in a recipe, a file or the surroundings that the user can put right."""


def hint(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: "did you mean `x`?", else what is known, "" where nothing is."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known: {', '.join(names)}" if names else ""
