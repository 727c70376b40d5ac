"""Writing so that nothing half-written looks whole.

A file is written under a temporary name in its own folder, synced, and renamed over the old one; a folder is
filled under a temporary name and renamed when its last file is synced, the older one being renamed away first
and then removed. A kill at any moment leaves the old state or the new one (of a folder that is replaced,
between its two renames, neither), never a part of one, and `*.partial` names that a later run sweeps away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octolab.errors import UserError

PARTIAL = ".partial"


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into the sentence that the user needs.

    Every exception is looked at, since safetensors reports a full disk as an error of its own.

    Raises:
        UserError: the disk is full, over quota, or not writable, or a file is in the way.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = _disk_reason(error)
        if reason is None:
            raise
        raise UserError(f"cannot write {path}: {reason}; free space or choose another --out, then run again") from error


def _disk_reason(error: BaseException) -> str | None:
    text = str(error).lower()
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "no space left" in text:
        return "the disk is full"
    if getattr(error, "errno", None) in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "the place is not writable"
    if getattr(error, "errno", None) in (errno.EEXIST, errno.ENOTDIR):
        return "a file is where a folder should be"
    return None


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: the file is either as before or complete."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}{PARTIAL}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
            fsync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is absent or is not whole JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; check the path or run the stage that writes it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is torn or not JSON ({error}); remove it and run again") from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; it takes its real name, replacing an older one, only when whole."""
    path = Path(path)
    temporary, older = path.with_name(f"{path.name}{PARTIAL}"), path.with_name(f"{path.name}.older{PARTIAL}")
    with disk_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with open(file, "rb") as handle:
                        os.fsync(handle.fileno())
            fsync_folder(temporary)
            if path.exists():
                shutil.rmtree(older, ignore_errors=True)
                os.replace(path, older)
            os.replace(temporary, path)
            fsync_folder(path.parent)
            shutil.rmtree(older, ignore_errors=True)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
