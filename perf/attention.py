"""Attention of packed documents, forward and backward: our windows beside one mask over the row (PyTorch's own).

`make peers && .venv/bin/python perf/attention.py`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import best_rate, main

HEADS, FEATURES, TOKENS = 4, 32, 4096
CASES = [
    {"name": "rows of 1,024, documents of 200", "row": 1024, "document": 200, "target": 3.0},
    {"name": "rows of 256, documents of 60", "row": 256, "document": 60, "target": 1.5},
    {"name": "rows of 256, one document", "row": 256, "document": 256, "target": 1.0},
]


def _inputs(case: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    import torch

    rows = TOKENS // case["row"]
    documents = (torch.arange(case["row"]) // case["document"]).expand(rows, -1).contiguous()
    tensors = [torch.randn(rows, HEADS, case["row"], FEATURES, requires_grad=True) for _ in range(3)]
    return documents, tensors, torch.randn(rows, HEADS, case["row"], FEATURES)


def ours(case: Mapping[str, Any]) -> dict[str, float]:
    """Windows, made anew for every batch as in training."""
    import torch

    from octolab.model.attention import document_windows, windowed_attention

    documents, tensors, slope = _inputs(case)

    def work() -> float:
        torch.autograd.grad(windowed_attention(*tensors, document_windows(documents)), tensors, slope)
        return TOKENS

    return {"rate": best_rate(work, 20)}


def peer(case: Mapping[str, Any]) -> dict[str, float]:
    """scaled_dot_product_attention with the mask of the same documents."""
    import torch
    import torch.nn.functional as F

    documents, tensors, slope = _inputs(case)

    def work() -> float:
        mask = (documents[:, :, None] == documents[:, None, :]).tril()[:, None]
        torch.autograd.grad(F.scaled_dot_product_attention(*tensors, attn_mask=mask), tensors, slope)
        return TOKENS

    return {"rate": best_rate(work, 20)}


if __name__ == "__main__":
    main(__file__, "Attention within documents, one layer", "tok/s", CASES, {"ours": ours, "peer": peer})
