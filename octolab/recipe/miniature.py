"""`--miniature`: the same recipe, small enough for a laptop.

The shape stays (every stage, mixture, parent, template, schedule form), so that what is rehearsed is what will
run. Models become tiny ones of the same family with random weights, sources and problem sets become stand-in
rows in the schema that their converter reads, and numbers shrink: rows of 128 tokens, 8 rows a step, steps
divided by 250, RL of 4 prompts x 4 samples x 5 steps, response caps divided by 64.
"""

from __future__ import annotations

from typing import Any

from octolab.recipe.load import validate
from octolab.recipe.schema import Recipe, written

TOKENIZER = "miniature_tokenizer"
POSITIONS = 1024
LENGTH, ROWS, STEPS_DIVISOR, CAP_DIVISOR, FEWEST_TOKENS = 128, 8, 250, 64, 16
DOCUMENTS = 600
PROBLEMS = 64


def miniature_of(recipe: Recipe) -> Recipe:
    """The miniature of a recipe, under the name `<name>-miniature`."""
    values = written(recipe)
    values["name"] = f"{recipe.name}-miniature"
    for spec in values["models"].values():
        family = (spec.get("init") or {}).get("family") or _family(str(spec.get("hub") or spec.get("path")))
        spec.clear()
        size = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 192, "positions": POSITIONS}
        spec |= {"init": {"family": family, **size}, "tokenizer": TOKENIZER}
    for name, spec in values["sources"].items():
        if "from" not in spec and "make" not in spec:
            args = {"convert": spec["convert"], "name": name, "n": DOCUMENTS}
            _stand_in(spec, "octolab.lab.standin:rows", args, keep=("convert",))
    for name in _problem_sets(values):
        spec = values["data"].setdefault(name, {})
        if "make" not in spec:
            _stand_in(spec, "octolab.lab.standin:problem_rows", {"name": name, "n": PROBLEMS})
    values["stages"] = {name: _small(stage) for name, stage in values["stages"].items() if stage["kind"] != "tokenizer"}
    sources = [name for name, spec in values["sources"].items() if "from" not in spec]
    if values["models"]:
        tokenizer = {"kind": "tokenizer", "sources": sources, "vocab_size": 512, "documents": 200}
        values["stages"] = {TOKENIZER: tokenizer, **values["stages"]}
    return validate(values, values["name"])


def _family(name: str) -> str:
    """The family of a hub model, as its name says; Llama where it says nothing."""
    name = name.lower()
    return next((family for family in ("qwen3", "qwen2") if family in name), "llama")


def _stand_in(spec: dict[str, Any], make: str, args: dict[str, Any], keep: tuple[str, ...] = ()) -> None:
    kept = {field: spec[field] for field in keep if field in spec}
    spec.clear()
    spec |= {"make": make, "args": args, **kept}


def _problem_sets(values: dict[str, Any]) -> list[str]:
    names: dict[str, None] = dict.fromkeys(values["data"])
    for stage in values["stages"].values():
        names |= dict.fromkeys(stage.get("benchmarks", []))
        names |= dict.fromkeys(stage.get("decontaminate_against") or [])
        if stage["kind"] == "rl":
            names[stage["prompts"]] = None
    return list(names)


def _small(stage: dict[str, Any]) -> dict[str, Any]:
    """One stage's numbers shrunk."""
    stage = dict(stage)
    if stage["kind"] == "train":
        stage |= {
            "steps": max(1, stage["steps"] // STEPS_DIVISOR),
            "sequence_length": LENGTH,
            "sequences_per_step": ROWS,
            "max_epochs": 1000.0,
        }
    if stage["kind"] == "rl":
        stage |= {
            "steps": 5,
            "prompts_per_step": 4,
            "samples_per_prompt": 4,
            "max_tokens": _caps(stage["max_tokens"]),
        }
    if stage["kind"] == "evaluate":
        stage |= {"limit": 8, "max_tokens": _cap(stage["max_tokens"])}
        if "few_shot" in stage:
            stage["few_shot"] = {"shots": min(2, stage["few_shot"]["shots"]), "exemplars": "gsm"}
    return stage


def _cap(tokens: int) -> int:
    return max(FEWEST_TOKENS, tokens // CAP_DIVISOR)


def _caps(caps: Any) -> Any:
    """A cap or a schedule, its steps spread over the five of a miniature in the same order."""
    if isinstance(caps, int):
        return _cap(caps)
    return [{"step": index, "max_tokens": _cap(entry["max_tokens"])} for index, entry in enumerate(caps[:5])]
