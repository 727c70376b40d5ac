"""Names for content: the hashes that decide whether a stage can be reused.

A key is the SHA-256 of canonical JSON, shortened to 16 hex digits (64 bits: with 10,000 stages the chance of
any collision is below 1e-11). A file's fingerprint is the hash of its bytes, so that a changed data file
redoes the stages that read it, and a touched one does not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from octolab.errors import UserError

KEY_DIGITS = 16


def key_of(value: Any) -> str:
    """Hash of JSON-able `value`; dictionaries compare without order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:KEY_DIGITS]


def fingerprint_file(path: Path) -> str:
    """Hash of a file's bytes."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()[:KEY_DIGITS]
    except PermissionError as error:
        raise UserError(f"{path} cannot be read; give yourself permission or choose another file") from error


def fingerprint_path(path: Path) -> str:
    """Hash of a file, or of every file below a folder together with its relative name.

    Raises:
        UserError: nothing is there; it would else have the hash of an empty folder.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; check the path")
    if path.is_file():
        return fingerprint_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return key_of([[str(file.relative_to(path)), fingerprint_file(file)] for file in files])
