r"""A second opinion: Math-Verify as a grader for the pool (`grader="octolab.verify.second:math_verify"`).

In goes what our verifier gets, out comes Math-Verify's verdict on the same completion with its own extraction, boxes
first. It is an audit: where the two disagree, one has made a mistake that is worth a look. Math-Verify is optional
(`pip install 'octolab[audit]'`), and its own alarms are off, because the pool's deadline stands around it.
"""

from __future__ import annotations

import logging

from octolab.errors import UserError
from octolab.verify.verdict import Verdict


def check_installed() -> None:
    """Raises UserError where Math-Verify is not installed."""
    try:
        import math_verify  # noqa: F401
    except ImportError:
        raise UserError("--audit needs Math-Verify; install it with: pip install 'octolab[audit]'") from None


def math_verify(gold: str, completion: str, mode: str, task: str | None) -> Verdict:
    """Math-Verify's verdict: `correct`, `wrong`, or `no_answer` where it finds nothing to read."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its alarms are off, every time
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    boxed = parse(f"\\boxed{{{gold}}}", parsing_timeout=None)
    found = parse(
        completion,
        extraction_config=[LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()],
        parsing_timeout=None,
    )
    if not found:
        return Verdict("no_answer", method="Math-Verify")
    right = verify(boxed, found, timeout_seconds=None)
    return Verdict("correct" if right else "wrong", span=str(found[-1])[:300], method="Math-Verify")
