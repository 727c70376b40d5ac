"""The decoder: embedding, blocks of attention and SwiGLU, norm, output head.

One plain PyTorch module for the dense Llama, Qwen2 and Qwen3 families. q, k and v are one matrix, gate and up
are one matrix: half the launches, the same mathematics; `octolab.model.hf` splits them for Hugging Face.
Two paths share the blocks: `hidden` over whole sequences (training, scoring, prefill) and `decode` for one
new token per row on top of a `KVCache` (rollouts). Attention never crosses a document border where the
documents of a packed row are given. Positions are not restarted at a border: rotary attention depends on
differences of positions only, so a document's logits do not depend on where in the row it lies.

Shapes: B rows, T positions, W width, H query heads, K key/value heads, D head_dim, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from octolab.model.attention import Window, document_windows, shared_windows, windowed_attention
from octolab.model.cache import KVCache
from octolab.model.config import DecoderConfig
from octolab.model.rope import angle_tables, rotate

Within = list[Window] | Tensor | None
"""What attention may look at: windows (CPU), a mask [B, 1, T, T], or everything before."""


class Norm(nn.Module):
    """Root-mean-square norm, computed in fp32."""

    def __init__(self, features: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        rows = (config.heads + 2 * config.kv_heads) * config.head_dim
        self.attention_norm = Norm(config.width, config.norm_eps)
        self.qkv = nn.Linear(config.width, rows, bias=config.qkv_bias)
        self.q_norm = Norm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = Norm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.out = nn.Linear(config.heads * config.head_dim, config.width, bias=False)
        self.ffn_norm = Norm(config.width, config.norm_eps)
        self.gate_up = nn.Linear(config.width, 2 * config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, config.width, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [..., H, D], keys and values [..., K, D] of x [..., W], rotated to their positions."""
        mixed = self.qkv(self.attention_norm(x)).unflatten(-1, (-1, self.head_dim))
        q, k, v = mixed.split((self.heads, self.kv_heads, self.kv_heads), dim=-2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add attention's output [..., H * D] and then the feed-forward's to x [..., W]."""
        x = x + self.out(attended)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, within: Within, kept: list[tuple[Tensor, Tensor]] | None
    ) -> Tensor:
        """x [B, T, W] -> [B, T, W]; `kept` receives (keys, values), each [B, T, K, D]."""
        q, k, v = self.project(x, cos, sin)
        if kept is not None:
            kept.append((k, v))
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if isinstance(within, list):
            shared = self.heads // self.kv_heads
            if shared > 1:
                k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
            attended = windowed_attention(q, k, v, within)
        else:
            attended = F.scaled_dot_product_attention(
                q, k, v, attn_mask=within, is_causal=within is None, enable_gqa=self.heads != self.kv_heads
            )
        return self.finish(x, attended.transpose(1, 2).flatten(-2))

    def decode(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: KVCache, layer: int, slots: Tensor, mask: Tensor
    ) -> Tensor:
        """One new token per row: x [R, W] -> [R, W]. Query heads that share a key head are the SDPA's queries."""
        rows, span = mask.shape[0], mask.shape[-1]
        q, k, v = self.project(x, cos, sin)
        keys, values = cache.write(layer, slots, k, v, rows, span)
        attended = F.scaled_dot_product_attention(
            q.view(rows, self.kv_heads, -1, self.head_dim), keys, values, attn_mask=mask
        )
        return self.finish(x, attended.reshape(rows, -1))


class Decoder(nn.Module):
    """A whole model. Weights are fp32 when made; the trainer's autocast decides what is computed in bf16."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.compiled = False
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width, config.norm_eps)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        cos, sin = angle_tables(config, config.positions)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def reset(self, seed: int) -> Decoder:
        """Random weights: normal with `init_std`, output projections of the residual stream shrunk by
        1 / sqrt(2 layers) (Radford et al. 2019, section 2.3), norms one, biases zero."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 1:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)
                    continue
                std = self.config.init_std
                if name.endswith(("out.weight", "down.weight")):
                    std /= (2 * self.config.layers) ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * std)
        return self

    def hidden(
        self, ids_BT: Tensor, documents_BT: Tensor | None = None, kept: list[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Final hidden states [B, T, W].

        Args:
            ids_BT: token ids; right padding is harmless, attention looks left only.
            documents_BT: document number of each position; attention stays inside equal numbers.
            kept: receives each layer's (keys, values) for a cache.
        """
        length = ids_BT.shape[1]
        within = None if documents_BT is None else self.within(documents_BT)
        return self._run(ids_BT, self.cos[:length], self.sin[:length], within, kept)

    def hidden_shared(self, ids_BT: Tensor, segment_BT: Tensor, position_BT: Tensor) -> Tensor:
        """Final hidden states [B, T, W] of rows that hold a prompt and several completions of it (on a CPU).

        Args:
            ids_BT: prompt, completion 1, completion 2, ..., right-padded.
            segment_BT: 0 in the prompt, i in the i-th completion, -1 in padding. A completion sees the prompt and
                itself: every state is as if it stood behind the prompt alone.
            position_BT: positions as in that row alone.
        """
        return self._run(ids_BT, self.cos[position_BT], self.sin[position_BT], shared_windows(segment_BT), None)

    def _run(
        self, ids_BT: Tensor, cos: Tensor, sin: Tensor, within: Within, kept: list[tuple[Tensor, Tensor]] | None
    ) -> Tensor:
        x = self.embedding(ids_BT)
        for block in self.blocks:
            x = block(x, cos.unsqueeze(-2), sin.unsqueeze(-2), within, kept)
        return self.norm(x)

    def within(self, documents_BT: Tensor) -> Within:
        """Windows on a CPU; elsewhere, and for compiled blocks, whose shapes must not change, one mask."""
        if documents_BT.device.type == "cpu" and not self.compiled:
            return document_windows(documents_BT)
        return (documents_BT[:, :, None] == documents_BT[:, None, :]).tril_()[:, None]

    def compile_blocks(self) -> None:
        """Compile every block for the shapes to come."""
        self.compiled = True
        for block in self.blocks:
            block.compile(dynamic=False)

    def forward(self, ids_BT: Tensor, documents_BT: Tensor | None = None) -> Tensor:
        """Logits [B, T, V]."""
        return self.head(self.hidden(ids_BT, documents_BT))

    def decode(self, ids_R: Tensor, positions_R: Tensor, cache: KVCache, span: int) -> Tensor:
        """Logits [R, V] for one new token in each of the cache's first R rows.

        Args:
            ids_R: the new tokens.
            positions_R: their positions; keys and values are written there.
            span: at least max(positions_R) + 1; attention reads the cache's first `span` positions.
        """
        mask = (cache.columns[:span] <= positions_R[:, None])[:, None, None]
        slots = cache.slots(positions_R)
        cos, sin = self.cos[positions_R][:, None], self.sin[positions_R][:, None]
        x = self.embedding(ids_R)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x = block.decode(x, cos, sin, cache, layer, slots, mask)
        return self.head(self.norm(x))
