"""Settings of the tests of the decoder."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tensors this small gain nothing from a second thread and wait long for one on a busy machine."""
    torch.set_num_threads(1)
