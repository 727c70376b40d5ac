"""Keys: equal content has equal names, any change another one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octolab.errors import UserError
from octolab.store.keys import KEY_DIGITS, fingerprint_file, fingerprint_path, key_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value, randomness):
    """The same value with every dictionary in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(item, randomness)) for name, item in value.items()]
        randomness.shuffle(items)
        return dict(items)
    return [shuffled(item, randomness) for item in value] if isinstance(value, list) else value


@given(VALUES, st.integers(0, 1000))
def test_blind_to_the_order_of_dictionaries(value, seed):
    assert key_of(value) == key_of(shuffled(value, random.Random(seed)))
    assert len(key_of(value)) == KEY_DIGITS


@given(VALUES, VALUES)
def test_distinct_values_have_distinct_keys(one, two):
    assert (key_of(one) == key_of(two)) == (json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True))


def test_lists_keep_their_order_and_nan_is_refused():
    assert key_of([1, 2]) != key_of([2, 1])
    with pytest.raises(ValueError):
        key_of({"a": float("nan")})


def test_same_in_another_process():
    value = {"b": [1, 2.5, "é"], "a": None}
    code = f"from octolab.store.keys import key_of; print(key_of({value!r}))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert other.stdout.strip() == key_of(value)


def test_fingerprint_follows_content_not_time(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    before = fingerprint_file(tmp_path / "a")
    os.utime(tmp_path / "a", (1, 1))
    assert fingerprint_file(tmp_path / "a") == fingerprint_path(tmp_path / "a") == before
    (tmp_path / "a").write_bytes(b"Text")
    assert fingerprint_file(tmp_path / "a") != before


def test_fingerprint_of_a_folder(tmp_path):
    def folder(name, files):
        for file, content in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(content)
        return fingerprint_path(tmp_path / name)

    base = folder("one", {"a": "1", "sub/b": "2"})
    assert folder("same", {"sub/b": "2", "a": "1"}) == base
    others = [
        folder("content", {"a": "1", "sub/b": "3"}),
        folder("name", {"a": "1", "sub/c": "2"}),
        folder("place", {"a": "1", "b": "2"}),
        folder("more", {"a": "1", "sub/b": "2", "c": ""}),
        folder("swapped", {"a": "2", "sub/b": "1"}),
    ]
    assert len({base, *others}) == 6


def test_nothing_there_has_no_fingerprint(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        fingerprint_path(tmp_path / "absent")
