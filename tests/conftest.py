"""Fixtures shared by every test folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test data: OCTOLAB_TEST_DATA, or ../shared/data beside the checkout."""
    named = os.environ.get("OCTOLAB_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "MANIFEST.md").exists():
        pytest.skip(f"real test data is absent: {folder} (set OCTOLAB_TEST_DATA)")
    return folder
