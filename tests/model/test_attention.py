"""Attention in windows against the masked attention that it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from octolab.model.attention import CHUNK, Window, document_windows, shared_windows, windowed_attention
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder


def documents_of(rows: list[list[int]], length: int) -> torch.Tensor:
    """Document numbers [B, T] of rows given as document lengths; what is left is padding."""
    table = torch.full((len(rows), length), -1, dtype=torch.int32)
    for row, lengths in enumerate(rows):
        at = 0
        for number, size in enumerate(lengths):
            table[row, at : at + size] = number
            at += size
    return table


rows = st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=6), min_size=1, max_size=3)


def same_as_masked(parts: torch.Tensor, allowed: torch.Tensor, windows: list[Window]) -> None:
    """Attention in windows and under the mask [B, T, T] agree, forwards and backwards, outside padding."""
    real = (parts >= 0)[:, None, :, None]
    generator = torch.Generator().manual_seed(len(parts))
    shape = (len(parts), 2, parts.shape[1], 8)
    q, k, v = (torch.randn(shape, generator=generator).requires_grad_() for _ in range(3))
    slope = torch.randn(shape, generator=generator) * real
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed.tril()[:, None])
    found = windowed_attention(q, k, v, windows)
    torch.testing.assert_close(found * real, expected * real, atol=1e-5, rtol=1e-5)
    wanted = torch.autograd.grad(expected, (q, k, v), slope)
    for one, two in zip(torch.autograd.grad(found, (q, k, v), slope), wanted, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


@given(rows)
def test_equals_masked_attention_with_gradients(lengths):
    documents = documents_of(lengths, max(map(sum, lengths)) + 3)
    same_as_masked(documents, documents[:, :, None] == documents[:, None, :], document_windows(documents))


@given(rows)
def test_completions_of_one_prompt_equal_masked_attention_with_gradients(lengths):
    """The first length of a row is its prompt's; a completion sees the prompt and itself."""
    segment = documents_of(lengths, max(map(sum, lengths)) + 3)
    own, seen = segment[:, :, None], segment[:, None, :]
    same_as_masked(segment, (own == seen) | ((seen == 0) & (own > 0)), shared_windows(segment))


def test_a_completion_reads_the_prompt_and_its_neighbours_only():
    windows = shared_windows(documents_of([[30] + [10] * 60], 630))
    assert all(window.prefix + window.end - window.low < 30 + 2 * CHUNK for window in windows)


def test_keys_outside_every_document_are_not_read():
    """The reason for windows: many short documents need few keys, one long document needs all before."""
    short = document_windows(documents_of([[10] * 60], 600))
    assert all(window.end - window.low < 2 * CHUNK for window in short)
    assert [window.low for window in document_windows(documents_of([[600]], 600))] == [0] * len(short)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_decoder_gives_the_same_with_either(family):
    config = DecoderConfig.of_family(
        family, vocab_size=50, width=32, layers=2, heads=4, kv_heads=2, ffn=40, positions=256, tied=True, rope_theta=1e4
    )
    model = Decoder(config).reset(0)
    ids = torch.randint(0, 50, (2, 200), generator=torch.Generator().manual_seed(0))
    documents = documents_of([[90, 20, 50], [3, 190]], 200)
    windowed = model.hidden(ids, documents)
    model.compiled = True  # what compiled blocks are given: one mask
    torch.testing.assert_close(
        model.hidden(ids, documents)[documents >= 0], windowed[documents >= 0], atol=1e-5, rtol=1e-5
    )
