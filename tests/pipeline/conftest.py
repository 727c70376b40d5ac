"""The tiny recipe with overrides, with files of a test's own, and a finished run to change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_recipe import finished, octolab, one_thread, recipe, world, write_world  # noqa: F401 - fixtures

from octolab.recipe.load import load_recipe
from octolab.recipe.schema import Recipe


@pytest.fixture(scope="session")
def tiny(recipe: Path) -> Callable[..., Recipe]:  # noqa: F811 - a fixture's name
    """`tiny("a.b=value", ...)`: the recipe with overrides."""
    return lambda *sets: load_recipe(recipe, sets)


@pytest.fixture
def tiny_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with files of its own, for a test that changes them."""
    monkeypatch.syspath_prepend(str(tmp_path / "world"))
    return write_world(tmp_path / "world")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:  # noqa: F811 - a fixture's name
    """A finished run of the test's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
