"""Where things come from: models, sources of documents, and named sets of problems."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from octolab.recipe.fields import Section, semantic


class ModelInit(Section):
    """A model with random weights."""

    family: Literal["llama", "qwen2", "qwen3"] = semantic("llama")
    """Which published architecture the checkpoint is written as."""
    width: int = semantic(gt=0)
    """Features of the residual stream."""
    layers: int = semantic(gt=0)
    """Number of blocks."""
    heads: int = semantic(gt=0)
    """Query heads; must divide the width."""
    kv_heads: int | None = semantic(None)
    """Key/value heads; absent: as many as query heads."""
    ffn: int = semantic(gt=0)
    """Inner features of the feed-forward."""
    positions: int = semantic(gt=1)
    """Context in tokens; prompts and completions must fit."""
    tied: bool = semantic(True)
    """Whether the output head shares the embedding's weights."""
    rope_theta: float = semantic(10000.0, gt=0)
    """Base of the rotary frequencies (Su et al. 2021)."""


class ModelSpec(Section):
    """One base model: exactly one of `hub`, `path`, `init`."""

    hub: str | None = semantic(None)
    """Hub id, e.g. meta-llama/Llama-3.2-3B."""
    revision: str | None = semantic(None)
    """Hub commit, tag or branch; absent: the current main, resolved to a commit when the run starts."""
    path: str | None = semantic(None)
    """Folder of a local Hugging Face checkpoint."""
    init: ModelInit | None = semantic(None)
    """Sizes of a model with random weights."""
    tokenizer: str | None = semantic(None)
    """A tokenizer stage, a hub id or a folder; absent: the checkpoint's own. Required with `init`."""

    @model_validator(mode="after")
    def _one_origin(self) -> ModelSpec:
        exactly_one(self, "hub", "path", "init")
        if self.init is not None and self.tokenizer is None:
            raise ValueError("a model with `init` needs `tokenizer`: a tokenizer stage, hub id or folder")
        return self


class SourceSpec(Section):
    """One source of documents: exactly one of `hub`, `path`, `make`, `from`, `data`."""

    hub: str | None = semantic(None)
    """Hub dataset id."""
    subset: str | None = semantic(None)
    """Configuration name of the hub dataset."""
    split: str = semantic("train")
    """Split of the hub dataset."""
    revision: str | None = semantic(None)
    """Hub commit; absent: resolved when the run starts."""
    path: str | None = semantic(None)
    """File, folder or glob of jsonl, json, parquet or html (any fsspec path)."""
    make: str | None = semantic(None)
    """`module:function` that returns rows."""
    from_: str | None = semantic(None, alias="from")
    """A curate stage of this recipe."""
    data: str | None = semantic(None)
    """A named problem set, read as text through `convert`; replaced with it by `data.<name>.path`."""
    args: dict[str, Any] = semantic({})
    """Keyword arguments of `make`."""
    convert: str = semantic("web")
    """How a row becomes a document: a named converter or `module:function`."""
    limit: int | None = semantic(None, gt=0)
    """Read at most this many documents."""

    @model_validator(mode="after")
    def _one_origin(self) -> SourceSpec:
        exactly_one(self, "hub", "path", "make", "from_", "data")
        return self


class DataSpec(Section):
    """A named set of problems (benchmark or RL prompts); absent origin: the hub id known for the name."""

    hub: str | None = semantic(None)
    """Hub dataset id."""
    subset: str | None = semantic(None)
    """Configuration name of the hub dataset."""
    split: str | None = semantic(None)
    """Split of the hub dataset."""
    revision: str | None = semantic(None)
    """Hub commit; absent: resolved when the run starts."""
    path: str | None = semantic(None)
    """Local file in the same schema."""
    make: str | None = semantic(None)
    """`module:function` that returns rows."""
    args: dict[str, Any] = semantic({})
    """Keyword arguments of `make`."""
    limit: int | None = semantic(None, gt=0)
    """Use at most this many problems, the first in file order."""

    @model_validator(mode="after")
    def _at_most_one_origin(self) -> DataSpec:
        if sum(value is not None for value in (self.hub, self.path, self.make)) > 1:
            raise ValueError("give one of `hub`, `path` and `make`, not several")
        return self


def exactly_one(section: Section, *names: str) -> None:
    """Require exactly one of the named fields.

    Raises:
        ValueError: none or several are given (pydantic reports it with the field's place).
    """
    given = [name for name in names if getattr(section, name) is not None]
    if len(given) != 1:
        listed = ", ".join(f"`{name.rstrip('_')}`" for name in names)
        found = ", ".join(f"`{name.rstrip('_')}`" for name in given) or "none"
        raise ValueError(f"give exactly one of {listed} (found {found})")
