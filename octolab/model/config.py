"""What a decoder looks like: one frozen record for the dense Llama, Qwen2 and Qwen3 families.

`DecoderConfig.from_hf` reads the `config.json` of a Hugging Face checkpoint (both the flat RoPE fields and the
newer `rope_parameters`), `to_hf` writes it back. Whatever would change the mathematics and is not built here
is refused by name: a silently wrong model is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from octolab.errors import UserError

Family = Literal["llama", "qwen2", "qwen3"]

ARCHITECTURES: dict[str, Family] = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}


@dataclass(frozen=True)
class RopeScaling:
    """Llama 3 frequency scaling: wavelengths beyond `original_positions / low` are stretched by `factor`,
    those below `original_positions / high` are kept, between them the two are blended."""

    factor: float
    low: float
    high: float
    original_positions: int


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes and switches of one decoder. Widths are in features, `positions` in tokens."""

    family: Family
    vocab_size: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    positions: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    tied: bool = True
    qkv_bias: bool = False
    qk_norm: bool = False
    init_std: float = 0.02

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise UserError(f"heads={self.heads} is not a multiple of kv_heads={self.kv_heads}; choose kv_heads to fit")
        if self.head_dim % 2:
            raise UserError(f"head_dim={self.head_dim} is odd, rotary positions need pairs; choose an even head_dim")

    @staticmethod
    def of_family(
        family: Family,
        *,
        vocab_size: int,
        width: int,
        layers: int,
        heads: int,
        kv_heads: int,
        ffn: int,
        positions: int,
        tied: bool,
        rope_theta: float,
    ) -> DecoderConfig:
        """A fresh decoder of a family: Qwen2 has q/k/v biases, Qwen3 has q/k norms, Llama has neither.

        Raises:
            UserError: the width does not divide into the heads.
        """
        if width % heads:
            raise UserError(f"width={width} is not a multiple of heads={heads}; choose heads that divide the width")
        return DecoderConfig(
            family=family,
            vocab_size=vocab_size,
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=width // heads,
            ffn=ffn,
            positions=positions,
            norm_eps=1e-5 if family == "llama" else 1e-6,
            rope_theta=rope_theta,
            tied=tied,
            qkv_bias=family == "qwen2",
            qk_norm=family == "qwen3",
        )

    @staticmethod
    def from_hf(config: dict[str, Any], where: str = "config.json") -> DecoderConfig:
        """Read a Hugging Face `config.json`.

        Raises:
            UserError: the architecture, or something in it that changes the logits, is not supported.
        """
        names = config.get("architectures") or [config.get("model_type", "unknown")]
        family = ARCHITECTURES.get(names[0]) or {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}.get(names[0])
        if family is None:
            raise UserError(
                f"{where}: architecture {names[0]} is not supported; use a checkpoint of {', '.join(ARCHITECTURES)}"
            )
        refused = {
            "hidden_act": config.get("hidden_act", "silu") not in ("silu", "swish"),
            "mlp_bias": bool(config.get("mlp_bias", False)),
            "attention_bias": bool(config.get("attention_bias", False)) and family != "qwen2",
            "use_sliding_window": bool(config.get("use_sliding_window", False)),
            "quantization_config": config.get("quantization_config") is not None,
        }
        for field, bad in refused.items():
            if bad:
                raise UserError(f"{where}: {field}={config.get(field)!r} is not supported for {names[0]}")
        try:
            heads = int(config["num_attention_heads"])
            width = int(config["hidden_size"])
            theta, scaling = _rope(config, where)
            return DecoderConfig(
                family=family,  # type: ignore[arg-type]
                vocab_size=int(config["vocab_size"]),
                width=width,
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                head_dim=int(config.get("head_dim") or (128 if family == "qwen3" else width // heads)),
                ffn=int(config["intermediate_size"]),
                positions=int(config.get("max_position_embeddings", 2048)),
                norm_eps=float(config.get("rms_norm_eps", 1e-6)),
                rope_theta=theta,
                rope_scaling=scaling,
                tied=bool(config.get("tie_word_embeddings", False)),
                qkv_bias=family == "qwen2",
                qk_norm=family == "qwen3",
                init_std=float(config.get("initializer_range", 0.02)),
            )
        except KeyError as error:
            raise UserError(f"{where}: field {error} is missing; is this a Hugging Face model folder?") from error

    def to_hf(self) -> dict[str, Any]:
        """The `config.json` that transformers, vLLM and others read."""
        architecture = next(name for name, family in ARCHITECTURES.items() if family == self.family)
        config: dict[str, Any] = {
            "architectures": [architecture],
            "model_type": self.family,
            "vocab_size": self.vocab_size,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.ffn,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": None,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
            "initializer_range": self.init_std,
            "attention_dropout": 0.0,
            "use_cache": True,
        }
        if self.family == "llama":
            config |= {"attention_bias": False, "mlp_bias": False}
        if self.rope_scaling is not None:
            config["rope_scaling"] = {
                "rope_type": "llama3",
                "factor": self.rope_scaling.factor,
                "low_freq_factor": self.rope_scaling.low,
                "high_freq_factor": self.rope_scaling.high,
                "original_max_position_embeddings": self.rope_scaling.original_positions,
            }
        return config

    def parameters(self) -> int:
        """Number of weights, an embedding shared with the output head counted once."""
        head_rows = (self.heads + 2 * self.kv_heads) * self.head_dim
        block = self.width * (head_rows + self.heads * self.head_dim + 3 * self.ffn + 2)
        block += head_rows if self.qkv_bias else 0
        block += 2 * self.head_dim if self.qk_norm else 0
        return self.vocab_size * self.width * (1 if self.tied else 2) + self.layers * block + self.width

    def flops_per_token(self, context: int) -> float:
        """Multiply-adds counted twice, forward only, for one token that attends to `context / 2` others
        (2 N for the matrices, the embedding look-up excluded, plus 2 * 2 * context/2 * heads * head_dim a layer)."""
        matrices = self.parameters() - (0 if self.tied else self.vocab_size * self.width)
        return 2.0 * matrices + 2.0 * self.layers * context * self.heads * self.head_dim


def _rope(config: dict[str, Any], where: str) -> tuple[float, RopeScaling | None]:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if float(rope.get("partial_rotary_factor", 1.0)) != 1.0:
        raise UserError(f"{where}: partial_rotary_factor={rope['partial_rotary_factor']} is not supported")
    if kind == "default":
        return theta, None
    if kind != "llama3":
        raise UserError(f"{where}: rope_type={kind!r} is not supported; 'default' and 'llama3' are")
    return theta, RopeScaling(
        factor=float(rope["factor"]),
        low=float(rope["low_freq_factor"]),
        high=float(rope["high_freq_factor"]),
        original_positions=int(rope["original_max_position_embeddings"]),
    )
