"""Learning rate as a pure function of tokens seen.

Because nothing is remembered between calls, a branch is only another schedule on loaded weights, and a resumed
run reads the same rate. Stable: constant. Decay: half a cosine from the peak down to `floor` times the peak
(paper, Tables 3 and 4). Both may warm up linearly from zero.
"""

from __future__ import annotations

import math

from octolab.recipe.stages import Schedule


def learning_rate(schedule: Schedule, seen: int, total: int, tokens_per_step: int) -> float:
    """Rate of the step that starts after `seen` tokens of a run of `total` tokens.

    The first warm-up step has rate peak / warmup_steps; the last step of a cosine has exactly its floor.
    """
    warmup = schedule.warmup_steps * tokens_per_step
    if seen < warmup:
        return schedule.peak * (seen + tokens_per_step) / warmup
    if schedule.constant is not None:
        return schedule.constant
    span = total - tokens_per_step - warmup
    done = min(1.0, (seen - warmup) / span) if span > 0 else 1.0
    return schedule.peak * (schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * done)))
