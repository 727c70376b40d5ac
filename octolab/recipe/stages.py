"""The kinds of stages and their settings, one class a kind.

Every field has a unit, a source where the default comes from a paper, and a role (see `fields`). One
vocabulary for batch sizes: `sequences_per_step`, `sequence_length`, `prompts_per_step`, `samples_per_prompt`,
`updates_per_step`, `max_tokens_per_microbatch`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from octolab.recipe.claims import StatedClaim
from octolab.recipe.fields import Section, extendable, runtime, semantic


class Stage(Section):
    """What every stage has."""

    seed: int | None = semantic(None)
    """Seed of this stage's randomness; absent: the recipe's."""
    matrix: dict[str, list[Any]] = semantic({})
    """Field -> values: one node for every combination, named `stage@field=value`."""


class CurateStage(Stage):
    """Documents in, cleaned documents out."""

    kind: Literal["curate"] = semantic("curate")
    """Constant."""
    sources: list[str] = semantic(min_length=1)
    """Names of the sources to read, in order."""
    steps: list[str | dict[str, dict[str, Any]]] = semantic(min_length=1)
    """Corpus steps in order, by name or as {name: {argument: value}}."""
    decontaminate_against: list[str] | None = semantic(None)
    """Problem sets for the step `decontaminate`; absent: every benchmark that the recipe evaluates."""


class TokenizerStage(Stage):
    """Train a byte-level BPE tokenizer with single digits."""

    kind: Literal["tokenizer"] = semantic("tokenizer")
    """Constant."""
    sources: list[str] = semantic(min_length=1)
    """Sources whose text it learns from, each in equal measure by documents."""
    vocab_size: int = semantic(ge=260)
    """Entries, the 256 bytes and the special token included."""
    documents: int = semantic(2000, gt=0)
    """Documents read from each source."""


class Schedule(Section):
    """Learning rate as a function of tokens seen: exactly one of `constant`, `cosine`."""

    constant: float | None = semantic(None, gt=0)
    """The rate after warm-up (paper, Table 3: 5e-5 / 2e-5 / 1e-5 for 1B / 3B / 8B)."""
    cosine: float | None = semantic(None, gt=0)
    """The peak rate, falling along a half cosine to `floor` times itself at the last step."""
    floor: float = semantic(0.1, ge=0, le=1)
    """End of the cosine as a share of its peak (paper, Table 4: one tenth)."""
    warmup_steps: int = semantic(0, ge=0)
    """Steps of linear warm-up from zero (paper: none)."""

    @model_validator(mode="after")
    def _one_shape(self) -> Schedule:
        if (self.constant is None) == (self.cosine is None):
            raise ValueError("give exactly one of `constant` and `cosine`")
        return self

    @property
    def peak(self) -> float:
        """The highest rate."""
        return self.constant if self.constant is not None else self.cosine  # type: ignore[return-value]


class TrainStage(Stage):
    """Next-token training on a mixture: pre-training, Stable, Decay."""

    kind: Literal["train"] = semantic("train")
    """Constant."""
    from_: str | list[str] = semantic(alias="from")
    """The model or stage whose weights it starts from; several make one node each."""
    steps: int = extendable(gt=0)
    """Optimizer steps; may be raised later where the schedule is constant."""
    sequences_per_step: int = semantic(gt=0)
    """Rows in one optimizer step (paper: 512)."""
    sequence_length: int = semantic(gt=1)
    """Tokens in a row (paper: 8,192)."""
    schedule: Schedule = semantic()
    """Learning rate."""
    mixture: dict[str, float] = semantic(min_length=1)
    """Source -> share of the tokens; sums to one."""
    max_epochs: float = semantic(4.0, gt=0)
    """Most often a source may repeat (Muennighoff et al. 2023: up to 4 epochs cost little)."""
    weight_decay: float = semantic(0.1, ge=0)
    """Decoupled weight decay of the matrices (paper: 0.1)."""
    betas: tuple[float, float] = semantic((0.9, 0.95))
    """AdamW's decay rates (the paper names none; 0.9 and 0.95 are common for language models)."""
    clip: float = semantic(1.0, gt=0)
    """Largest norm of the global gradient."""
    optimizer: Literal["carry", "fresh"] = semantic("carry")
    """Whether a parent stage's Adam state is carried over (a branch) or left behind."""
    max_tokens_per_microbatch: int = runtime(8192, gt=0)
    """Tokens (padding included) in one forward and backward pass."""
    compile: bool = runtime(False)
    """Compile the blocks: costs time once, pays in long runs."""
    checkpoint_seconds: float = runtime(60.0, gt=0)
    """Time between saves; a killed run loses at most this much."""

    @field_validator("mixture")
    @classmethod
    def _sums_to_one(cls, mixture: dict[str, float]) -> dict[str, float]:
        total = sum(mixture.values())
        if not abs(total - 1.0) <= 1e-6:
            raise ValueError(f"shares sum to {total:.6g}, not to 1; scale them so that they do")
        for name, share in mixture.items():
            if not share > 0:
                raise ValueError(f"share of {name} is {share:g}; shares must be above 0 (leave the source out)")
        return mixture


SETTINGS: dict[str, dict[str, Any]] = {
    "modern": {
        "advantage": "centred",
        "aggregation": "token",
        "clip_low": 0.2,
        "clip_high": 0.28,
        "updates_per_step": 1,
    },
    "octothinker": {
        "advantage": "std",
        "aggregation": "token",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "updates_per_step": 2,
    },
}
"""The two named settings of GRPO. `modern`: Dr. GRPO's advantage, DAPO's aggregation and upper clip, one update
a rollout batch. `octothinker`: the paper's run as far as it is published (section 4.1: two updates)."""


def without_setting(values: dict[str, Any]) -> dict[str, Any]:
    """A stage's values without what its named setting says anyway, so that another setting can take its place."""
    named = SETTINGS.get(str(values.get("setting")), {})
    return {field: value for field, value in values.items() if field not in named or named[field] != value}


class LengthStep(Section):
    """From this rollout step on, this cap."""

    step: int = semantic(ge=0)
    """Rollout steps done before the cap holds (the paper plots gradient updates: twice as many)."""
    max_tokens: int = semantic(gt=0)
    """Cap on completion tokens."""


class RLStage(Stage):
    """GRPO with verifiable rewards, straight from the base model (R1-Zero style)."""

    kind: Literal["rl"] = semantic("rl")
    """Constant."""
    from_: str | list[str] = semantic(alias="from")
    """The checkpoints to train; several make one node each."""
    prompts: str = semantic()
    """Named problem set."""
    steps: int = extendable(gt=0)
    """Rollout batches (the paper's axis counts updates: 2 a batch)."""
    prompts_per_step: int = semantic(128, gt=0)
    """Prompts in a rollout batch (paper: 128)."""
    samples_per_prompt: int = semantic(16, gt=1)
    """Completions of each prompt, a group (paper: 16)."""
    setting: Literal["modern", "octothinker"] = semantic("modern")
    """Named defaults for the next five fields."""
    advantage: Literal["centred", "std"] = semantic("centred")
    """R - mean, or that divided by the group's standard deviation (ddof 1) + 1e-6."""
    aggregation: Literal["token", "sequence", "constant"] = semantic("token")
    """How token losses become one number (DAPO, GRPO, Dr. GRPO)."""
    clip_low: float = semantic(0.2, gt=0, lt=1)
    """Lower clip of the ratio (PPO: 0.2)."""
    clip_high: float = semantic(0.28, gt=0)
    """Upper clip of the ratio (DAPO: 0.28)."""
    updates_per_step: int = semantic(1, gt=0)
    """Optimizer updates on one rollout batch (paper: 2)."""
    learning_rate: float = semantic(1e-6, gt=0)
    """Constant after warm-up (paper: 1e-6)."""
    warmup_steps: int = semantic(0, ge=0)
    """Optimizer updates of linear warm-up."""
    kl_beta: float = semantic(0.0, ge=0)
    """Weight of the k3 penalty towards the parent (paper: 0)."""
    importance_cap: float | None = semantic(None, gt=0)
    """Cap of truncated importance sampling between engine and trainer; absent: off (same weights, same numbers)."""
    temperature: float = semantic(1.0, gt=0)
    """Sampling temperature (paper: 1)."""
    max_tokens: int | list[LengthStep] = semantic(4096)
    """Cap on completion tokens, or the response-length schedule (paper: 2,048 / 4,096 / 8,192 from rollout
    steps 0 / 100 / 160)."""
    template: str = semantic("simple")
    """Prompt template: a name or `module:function`."""
    stop_strings: list[str] = semantic([])
    """Text that ends a completion, besides the template's own."""
    weight_decay: float = semantic(0.0, ge=0)
    """Decoupled weight decay."""
    betas: tuple[float, float] = semantic((0.9, 0.999))
    """AdamW's decay rates."""
    clip_norm: float = semantic(1.0, gt=0)
    """Largest norm of the global gradient."""
    reward: str | None = semantic(None)
    """Your own reward as `module:function`; absent: the verifier."""
    verifier_seconds: float = semantic(5.0, gt=0)
    """Time one verdict may take."""
    max_tokens_per_microbatch: int = runtime(16384, gt=0)
    """Tokens (padding included) in one forward and backward pass."""
    rows: int = runtime(256, gt=0)
    """Completions that run at once."""
    verifier_workers: int = runtime(1, gt=0)
    """Verifier processes."""
    checkpoint_seconds: float = runtime(60.0, gt=0)
    """Time between saves."""

    @model_validator(mode="before")
    @classmethod
    def _named_setting(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return SETTINGS.get(str(values.get("setting", "modern")), {}) | values
        return values

    @model_validator(mode="after")
    def _fits(self) -> RLStage:
        if self.prompts_per_step % self.updates_per_step:
            raise ValueError(
                f"prompts_per_step={self.prompts_per_step} does not divide into updates_per_step="
                f"{self.updates_per_step}; groups are never split"
            )
        if isinstance(self.max_tokens, list):
            steps = [entry.step for entry in self.max_tokens]
            if not steps or steps[0] != 0 or steps != sorted(set(steps)):
                raise ValueError("max_tokens: the schedule's steps must start at 0 and rise")
        return self


class FewShot(Section):
    """Worked examples before the question."""

    shots: int = semantic(4, gt=0)
    """Number of examples."""
    exemplars: str | None = semantic(None)
    """Problem set whose first problems serve as examples; absent: the ones shipped for the benchmark."""


class EvaluateStage(Stage):
    """Benchmarks and bits per byte of one or more checkpoints."""

    kind: Literal["evaluate"] = semantic("evaluate")
    """Constant."""
    of: list[str] = semantic(min_length=1)
    """Models and stages; patterns such as `rl/*`."""
    benchmarks: list[str] = semantic(min_length=1)
    """Named problem sets."""
    template: str = semantic("simple")
    """Zero-shot prompt template, the one of RL."""
    stop_strings: list[str] = semantic([])
    """Text that ends a zero-shot completion, besides the template's own (those of `rl`, to score what RL trained)."""
    reading: str | None = semantic(None, pattern=r"^[a-z0-9_]+$")
    """Names another way of reading the same benchmarks: their sets are then called `<benchmark>@<reading>`."""
    few_shot: FewShot | None = semantic(None)
    """Also evaluate few-shot, as set `<benchmark>@few_shot`; absent: zero-shot only."""
    samples: int = semantic(1, gt=0)
    """Completions of each problem."""
    temperature: float = semantic(0.0, ge=0)
    """0 is greedy; several samples need more."""
    top_p: float = semantic(1.0, gt=0, le=1)
    """Nucleus of the sampling distribution."""
    max_tokens: int = semantic(1024, gt=0)
    """Cap on completion tokens (the paper's harness: 1,024)."""
    limit: int | None = semantic(None, gt=0)
    """Use at most this many problems of each benchmark."""
    bits_per_byte: list[str] | None = semantic(None)
    """Sources whose held-out text is scored; absent: every source that a train stage uses."""
    rows: int = runtime(256, gt=0)
    """Completions that run at once."""
    verifier_workers: int = runtime(1, gt=0)
    """Verifier processes."""

    @field_validator("benchmarks")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is named twice; leave one out")
        return names

    @model_validator(mode="after")
    def _samples_differ(self) -> EvaluateStage:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"samples={self.samples} at temperature 0 are all the same; set temperature above 0")
        return self


class ReportStage(Stage):
    """The page and the summary."""

    kind: Literal["report"] = semantic("report")
    """Constant."""
    claims: dict[str, StatedClaim] = semantic({})
    """Claims of the recipe's own, by name."""


AnyStage = Annotated[
    CurateStage | TokenizerStage | TrainStage | RLStage | EvaluateStage | ReportStage, Field(discriminator="kind")
]
