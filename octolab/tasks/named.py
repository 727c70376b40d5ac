"""Looking things up by name.

A recipe names templates, converters, steps and data sets. In goes the word the user wrote and the table of known
names, out comes the thing itself; `module:function` brings in the user's own. What cannot be found is the user's
mistake, answered with the nearest known name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from octolab.errors import UserError, hint

T = TypeVar("T")


def choose(word: str, table: Mapping[str, T], what: str) -> T:
    """The entry of `table` under `word`.

    Raises:
        UserError: `word` is not in the table; the message names the nearest entry.
    """
    if word not in table:
        raise UserError(f"unknown {what} {word!r}{hint(word, table)}")
    return table[word]


def choose_or_import(word: str, table: Mapping[str, T], what: str) -> T | Any:
    """The entry of `table` under `word`, or what `module:attribute` names.

    Raises:
        UserError: an unknown name, a module that cannot be found, or an attribute it does not have.
    """
    if ":" not in word:
        return choose(word, table, what)
    module_name, _, attribute = word.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise
        raise UserError(
            f"{what} {word!r}: there is no module {error.name!r}; put its folder on PYTHONPATH or mend the name"
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise UserError(f"{what} {word!r}: module {module_name!r} has no {attribute!r}{hint(attribute, public)}")
    return getattr(module, attribute)
