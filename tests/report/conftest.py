"""Run directories for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_run import build_run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Build a run directory below the test's own folder."""
    return lambda name="tiny", **options: build_run(tmp_path / name, **options)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run directory that tests only read."""
    return build_run(tmp_path_factory.mktemp("report") / "small")
