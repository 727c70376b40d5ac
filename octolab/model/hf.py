"""Hugging Face checkpoints in and out.

A checkpoint is a folder with `config.json` and safetensors that transformers, vLLM, verl and TRL open
directly. `to_hf` and `from_hf` translate between our fused matrices and the published names; both are exact.
Pickled `.bin` weights are refused: loading them would run code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from octolab.errors import UserError
from octolab.model.config import DecoderConfig
from octolab.model.decoder import Decoder
from octolab.store.atomic import read_json, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _layout(config: DecoderConfig) -> dict[str, list[tuple[str, int]]]:
    """Our parameter name -> published names in order, with the rows of each (0: the whole tensor)."""
    q, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
    layout: dict[str, list[tuple[str, int]]] = {"embedding.weight": [("model.embed_tokens.weight", 0)]}
    for index in range(config.layers):
        ours, theirs = f"blocks.{index}.", f"model.layers.{index}."
        for part in ("weight", "bias") if config.qkv_bias else ("weight",):
            layout[f"{ours}qkv.{part}"] = [
                (f"{theirs}self_attn.{name}_proj.{part}", rows) for name, rows in (("q", q), ("k", kv), ("v", kv))
            ]
        layout[f"{ours}out.weight"] = [(f"{theirs}self_attn.o_proj.weight", 0)]
        if config.qk_norm:
            layout[f"{ours}q_norm.weight"] = [(f"{theirs}self_attn.q_norm.weight", 0)]
            layout[f"{ours}k_norm.weight"] = [(f"{theirs}self_attn.k_norm.weight", 0)]
        layout[f"{ours}gate_up.weight"] = [(f"{theirs}mlp.{name}_proj.weight", config.ffn) for name in ("gate", "up")]
        layout[f"{ours}down.weight"] = [(f"{theirs}mlp.down_proj.weight", 0)]
        layout[f"{ours}attention_norm.weight"] = [(f"{theirs}input_layernorm.weight", 0)]
        layout[f"{ours}ffn_norm.weight"] = [(f"{theirs}post_attention_layernorm.weight", 0)]
    layout["norm.weight"] = [("model.norm.weight", 0)]
    if not config.tied:
        layout["head.weight"] = [("lm_head.weight", 0)]
    return layout


def to_hf(model: Decoder) -> Iterator[tuple[str, Tensor]]:
    """Published names and tensors (views of the model's own memory)."""
    ours = dict(model.named_parameters())
    for name, parts in _layout(model.config).items():
        rows = [count for _, count in parts] if len(parts) > 1 else [ours[name].shape[0]]
        for (published, _), tensor in zip(parts, ours[name].detach().split(rows), strict=True):
            yield published, tensor


@torch.no_grad()
def from_hf(model: Decoder, tensors: Iterable[tuple[str, Tensor]], where: str = "weights") -> None:
    """Copy published tensors into `model`.

    Raises:
        UserError: a tensor is missing, unknown, or has another shape.
    """
    targets: dict[str, Tensor] = dict(to_hf(model))
    missing = set(targets)
    for name, tensor in tensors:
        if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and model.config.tied):
            continue
        if name not in targets:
            raise UserError(f"{where}: tensor {name} is unknown to a {model.config.family} decoder; check config.json")
        if targets[name].shape != tensor.shape:
            raise UserError(
                f"{where}: {name} has shape {tuple(tensor.shape)}, config.json says {tuple(targets[name].shape)}"
            )
        targets[name].copy_(tensor)
        missing.discard(name)
    if missing:
        raise UserError(f"{where}: tensor {min(missing)} is missing ({len(missing)} in all); is the file torn?")


def read_config(folder: Path) -> DecoderConfig:
    """The configuration of a checkpoint folder."""
    return DecoderConfig.from_hf(read_json(Path(folder) / "config.json"), str(Path(folder) / "config.json"))


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Decoder:
    """Open a Hugging Face folder as a Decoder with fp32 weights.

    Raises:
        UserError: files are absent or torn, or the architecture is not supported.
    """
    folder = Path(folder)
    model = Decoder(read_config(folder))
    from_hf(model, _read_tensors(folder), str(folder))
    return model.to(device)


def _read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        hint = "convert its .bin files to safetensors" if any(folder.glob("*.bin")) else "check the path"
        raise UserError(f"{folder} holds no *.safetensors; {hint}")
    for file in files:
        try:
            with safe_open(file, framework="pt") as handle:
                for name in handle.keys():  # noqa: SIM118 - not a mapping
                    yield name, handle.get_tensor(name)
        except SafetensorError as error:
            raise UserError(f"{file} is torn ({error}); fetch or write the checkpoint again") from error


def save_checkpoint(
    model: Decoder, folder: Path, *, dtype: str = "float32", bos_id: int | None = None, eos_ids: Iterable[int] = ()
) -> None:
    """Write config, generation config and safetensors (sharded at 5 GB) into `folder`.

    Not atomic by itself: callers fill a `store.atomic.new_folder`.
    """
    from huggingface_hub import save_torch_state_dict

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    eos = list(eos_ids)
    tokens = {"bos_token_id": bos_id, "eos_token_id": eos[0] if len(eos) == 1 else eos or None}
    write_json(folder / "config.json", model.config.to_hf() | tokens | {"dtype": dtype, "torch_dtype": dtype})
    write_json(folder / "generation_config.json", tokens)
    state = {name: tensor.to(DTYPES[dtype], copy=True) for name, tensor in to_hf(model)}
    save_torch_state_dict(state, folder, metadata={"format": "pt"})
