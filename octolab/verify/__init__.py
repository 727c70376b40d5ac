"""Is this answer right: extraction, typed exact comparison, and a pool of isolated workers.

In go a gold answer and a completion; out comes a `Verdict` that says what was read, how it was compared and
what came of it. `verify` does this in process, `Verifier` does it in child processes with a deadline, and
`gold_audit` lists the golds of a data set that could never be matched. Only the standard library is imported at first
(mpmath when an expression is met), so that a worker starts in well under 100 ms. Model text is never evaluated, only
read. docs/verify.md says what counts as the same answer.
"""

from __future__ import annotations

from octolab.verify.boxes import last_boxed
from octolab.verify.compare import Gold, compare, type_gold
from octolab.verify.grade import BadGold, Item, gold_audit, verify
from octolab.verify.pool import Verifier
from octolab.verify.verdict import VERDICTS, Verdict, reward

__all__ = [
    "VERDICTS",
    "BadGold",
    "Gold",
    "Item",
    "Verdict",
    "Verifier",
    "compare",
    "gold_audit",
    "last_boxed",
    "reward",
    "type_gold",
    "verify",
]
