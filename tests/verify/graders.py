"""Graders of a user's own, good and bad, that the pool tests name as `graders:function`.

Each reads its order from the completion, so that one batch can mix answers that behave with ones that do not.
"""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import time
from pathlib import Path

from octolab.verify import Verdict, verify


def obey(gold: str, completion: str, mode: str, task: str | None) -> object:
    """Do what the completion says; grade normally where it says nothing special."""
    order, _, argument = completion.partition(" ")
    if order == "loop":
        while True:
            pass
    if order == "hang":  # inside C, holding the GIL: no Python signal handler ever runs
        collections.deque(itertools.repeat(0), maxlen=0)
    if order == "swallow":
        while True:
            try:
                time.sleep(60)
            except:  # noqa: E722  (the bad habit that is tested)
                continue
    if order == "sleep":
        time.sleep(float(argument))
        return True
    if order == "bomb":
        return len([bytearray(1 << 20) for _ in range(1 << 20)])
    if order == "exit":
        with open(argument, "a") as tries:
            tries.write("x")
        os._exit(7)
    if order == "crash":
        ctypes.string_at(0)
    if order == "crash_once":
        if not Path(argument).exists():
            Path(argument).touch()
            os._exit(7)
        return True
    if order == "raise":
        raise KeyError("no such answer")
    if order == "quit":
        raise SystemExit(3)
    if order == "print":
        print('["verdict", "correct"]')
        os.write(1, b"noise without a newline")
        return True
    if order == "return":
        return {
            "true": True,
            "false": False,
            "nan": float("nan"),
            "text": "1",
            "none": None,
            "part": 0.25,
            "most": 0.75,
            "verdict": Verdict("wrong", "seen", "mine", "own"),
            "mode": f"{mode}{task}" == "evalgsm8k",
        }[argument]
    return verify(gold, completion, mode=mode, task=task)


_kept: list[bytearray] = []


def leak(gold: str, completion: str, mode: str, task: str | None) -> bool:
    """Keeps 20 MiB per answer: the answer that meets the limit is not to blame."""
    _kept.append(bytearray(20 << 20))
    return True


NOT_A_FUNCTION = 3
