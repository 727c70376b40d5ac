"""The run directory: where each stage's folder is, whether it can be used, and what was superseded.

runs/<name>/stages/<node>/ holds `started.json` (which key it is being made for) from the first moment and
`manifest.json` from the last. A folder without a manifest is unfinished; nothing else says so.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from octolab.errors import UserError
from octolab.store.atomic import PARTIAL, disk_errors, read_json, write_json

State = Literal["finished", "unfinished", "extendable", "changed", "new"]
PRECIOUS_SECONDS = 600.0
"""Work that is only thrown away when the user says so."""


@dataclass(frozen=True)
class Found:
    """What lies in a stage's folder: its state for the wanted key and the seconds of work in it."""

    state: State
    seconds: float
    manifest: dict[str, Any] | None


class RunDir:
    """A run directory on disk."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def stage(self, node: str) -> Path:
        """Folder of a node."""
        return self.path / "stages" / node

    def manifest(self, node: str) -> dict[str, Any] | None:
        """Manifest of a finished node, None where there is none."""
        file = self.stage(node) / "manifest.json"
        return read_json(file) if file.exists() else None

    def has_outputs(self, manifest: dict[str, Any]) -> bool:
        """Whether all that a finished stage made is still there; what a user removed is made again."""
        return all((self.path / path).exists() for path in manifest["outputs"].values())

    def nodes(self) -> list[str]:
        """Names of all nodes that have a folder, finished or not."""
        stages = self.path / "stages"
        return sorted(str(file.parent.relative_to(stages)) for file in stages.rglob("started.json"))

    def find(self, node: str, key: str, base: str, extendable: dict[str, Any]) -> Found:
        """Compare what lies in a node's folder with the keys it should have."""
        folder = self.stage(node)
        manifest = self.manifest(node)
        if manifest is not None and self.has_outputs(manifest):
            seconds = float(manifest["seconds"])
            if manifest["key"] == key:
                return Found("finished", seconds, manifest)
            if manifest["base_key"] == base and _larger(extendable, manifest["extendable"]):
                return Found("extendable", seconds, manifest)
            return Found("changed", seconds, manifest)
        started = folder / "started.json"
        if not started.exists():
            # Of a stage that had several parents and now has one, the folder holds only theirs.
            inside = sum(read_json(file)["seconds"] for file in folder.rglob("manifest.json") if _is_stage(file.parent))
            return Found("changed" if folder.exists() else "new", inside, None)
        stored = read_json(started)
        seconds = max(0.0, _newest(folder) - stored["at"]) + stored.get("seconds", 0.0)
        same = stored["base_key"] == base and (stored["key"] == key or _larger(extendable, stored["extendable"]))
        return Found("unfinished" if same else "changed", seconds, None)

    def begin(self, node: str, key: str, base: str, extendable: dict[str, Any], seconds: float) -> Path:
        """Note that a node is being made; the manifest of an earlier, smaller version goes."""
        folder = self.stage(node)
        record = {"node": node, "key": key, "base_key": base, "extendable": extendable}
        write_json(folder / "started.json", record | {"at": time.time(), "seconds": seconds})
        (folder / "manifest.json").unlink(missing_ok=True)
        return folder

    def supersede(self, node: str) -> None:
        """Move a node's folder out of the way, under the key it was made for; an unfinished one of the same key
        that was superseded before is replaced."""
        folder = self.stage(node)
        source = folder / ("manifest.json" if (folder / "manifest.json").exists() else "started.json")
        key = read_json(source)["key"] if source.exists() else f"unknown-{os.getpid()}-{time.time_ns()}"
        target = self.path / ".superseded" / key
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove(target)
            os.replace(folder, target)

    def restore(self, node: str, key: str) -> bool:
        """Take a superseded folder of this key back into use; false where there is none."""
        stored = self.path / ".superseded" / key
        folder = self.stage(node)
        started = stored / "started.json"
        if not started.exists() or read_json(started).get("node") != node or folder.exists():
            return False
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.replace(stored, folder)
        return True

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for folder in (self.path, self.path / ".superseded"):
            for path in folder.glob(f"*{PARTIAL}"):
                _delete(path)
        for path in (self.path / "stages").rglob(f"*{PARTIAL}"):
            _delete(path)

    def garbage(self, wanted: set[str]) -> list[Path]:
        """What no wanted node refers to: superseded folders, and nodes that the recipe no longer has, without the
        wanted ones that may lie inside (`rl/long` in what once was `rl`)."""
        superseded = self.path / ".superseded"
        paths = sorted(superseded.iterdir()) if superseded.exists() else []
        keep = [self.stage(node) for node in wanted]
        for node in self.nodes():
            if node not in wanted and not any(self.stage(node).is_relative_to(path) for path in paths):
                paths += _without(self.stage(node), keep)
        return paths


def remove(path: Path) -> None:
    """Remove a file or folder so that a kill on the way leaves nothing that could be taken for whole."""
    if path.exists():
        doomed = path.with_name(path.name + PARTIAL)
        _delete(doomed)
        os.replace(path, doomed)
        _delete(doomed)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_stage(folder: Path) -> bool:
    return (folder / "started.json").exists()


def _without(path: Path, keep: list[Path]) -> list[Path]:
    """`path`, or what lies in it apart from the folders to keep."""
    if path in keep:
        return []
    if not any(kept.is_relative_to(path) for kept in keep):
        return [path]
    return [part for inner in sorted(path.iterdir()) for part in _without(inner, keep)]


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def open_run(path: Path) -> RunDir:
    """An existing run directory.

    Raises:
        UserError: there is none at `path`.
    """
    if not (Path(path) / "recipe.yaml").exists():
        raise UserError(
            f"{path} is not a run directory (it has no recipe.yaml); give the folder that `octolab run` made"
        )
    return RunDir(Path(path))


def _larger(new: dict[str, Any], old: dict[str, Any]) -> bool:
    return bool(new) and new.keys() == old.keys() and new != old and all(new[name] >= old[name] for name in new)


def _newest(folder: Path) -> float:
    return max((file.stat().st_mtime for file in folder.rglob("*") if file.is_file()), default=0.0)
