"""Fixtures shared by every test folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # other processes may hold the cores for a while
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test data: OCTOLAB_TEST_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("OCTOLAB_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "MANIFEST.md").exists():
        pytest.skip(f"real test data is absent: {folder} (set OCTOLAB_TEST_DATA)")
    return folder
