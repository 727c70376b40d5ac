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

    def nodes(self) -> list[str]:
        """Names of all nodes that have a folder, finished or not."""
        stages = self.path / "stages"
        return sorted(str(file.parent.relative_to(stages)) for file in stages.rglob("started.json"))

    def find(self, node: str, key: str, base: str, extendable: dict[str, Any]) -> Found:
        """Compare what lies in a node's folder with the keys it should have."""
        folder = self.stage(node)
        manifest = self.manifest(node)
        if manifest is not None:
            seconds = float(manifest["seconds"])
            if manifest["key"] == key:
                return Found("finished", seconds, manifest)
            if manifest["base_key"] == base and _larger(extendable, manifest["extendable"]):
                return Found("extendable", seconds, manifest)
            return Found("changed", seconds, manifest)
        started = folder / "started.json"
        if not started.exists():
            return Found("changed" if folder.exists() else "new", 0.0, None)
        stored = read_json(started)
        seconds = max(0.0, _newest(folder) - stored["at"]) + stored.get("seconds", 0.0)
        same = stored["base_key"] == base and (stored["key"] == key or _larger(extendable, stored["extendable"]))
        return Found("unfinished" if same else "changed", seconds, None)

    def begin(self, node: str, key: str, base: str, extendable: dict[str, Any], seconds: float) -> Path:
        """Note that a node is being made; the manifest of an earlier, smaller version goes."""
        folder = self.stage(node)
        record = {"key": key, "base_key": base, "extendable": extendable, "at": time.time(), "seconds": seconds}
        write_json(folder / "started.json", record)
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
            shutil.rmtree(target, ignore_errors=True)
            os.replace(folder, target)

    def restore(self, node: str, key: str) -> bool:
        """Take a superseded folder of this key back into use; false where there is none."""
        stored = self.path / ".superseded" / key
        folder = self.stage(node)
        if not (stored / "started.json").exists() or folder.exists():
            return False
        with disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.replace(stored, folder)
        return True

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        for path in [*self.path.glob(f"*{PARTIAL}"), *(self.path / "stages").rglob(f"*{PARTIAL}")]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def garbage(self, wanted: set[str]) -> list[Path]:
        """Folders that no wanted node refers to: superseded ones, and nodes that the recipe no longer has."""
        superseded = self.path / ".superseded"
        paths = sorted(superseded.iterdir()) if superseded.exists() else []
        return paths + [self.stage(node) for node in self.nodes() if node not in wanted]


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


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
