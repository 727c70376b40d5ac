"""The cap on completion length as a function of rollout steps done.

The paper raises it 2,048 -> 4,096 -> 8,192 at rollout steps 100 and 160 (its axis, in gradient updates, says
200 and 320), which kept a long-CoT model from collapsing (section 4.3 of the facts).
"""

from __future__ import annotations

from octolab.recipe.stages import LengthStep

Caps = int | list[LengthStep]


def max_tokens_at(caps: Caps, step: int) -> int:
    """Cap that holds after `step` rollout steps."""
    if isinstance(caps, int):
        return caps
    return next(entry.max_tokens for entry in reversed(caps) if entry.step <= step)


def final_max_tokens(caps: Caps) -> int:
    """The largest cap: what must fit the context, and the constant of the `constant` aggregation."""
    return caps if isinstance(caps, int) else max(entry.max_tokens for entry in caps)
