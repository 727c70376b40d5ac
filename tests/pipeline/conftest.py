"""The tiny recipe's files, once a session and anew for a test, and one finished run of it to start from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_recipe import run, write_world

from octolab.recipe.load import load_recipe
from octolab.recipe.schema import Recipe


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors this small gain nothing from a second thread and wait long for one on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with the recipe's files, which no test changes."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    sys.path.insert(0, str(folder))  # the reward is a module of the user's own
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def recipe(world: Path) -> Path:
    """The recipe's file."""
    return world / "tiny.yaml"


@pytest.fixture(scope="session")
def tiny(recipe: Path) -> Callable[..., Recipe]:
    """`tiny("a.b=value", ...)`: the recipe with overrides."""
    return lambda *sets: load_recipe(recipe, sets)


@pytest.fixture
def tiny_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with files of its own, for a test that changes them."""
    monkeypatch.syspath_prepend(str(tmp_path / "world"))
    return write_world(tmp_path / "world")


@pytest.fixture(scope="session")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    out = tmp_path_factory.mktemp("finished") / "run"
    run(recipe, out)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
