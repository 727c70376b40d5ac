"""Rows from files and from the hub.

In goes a path (file, folder, glob, any fsspec address) or a hub id, out comes a stream of dicts in a fixed order.
A damaged line, file or cell is reported with its place and passed over; the rest is read. What is missing
altogether is the user's mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from octolab.errors import UserError
from octolab.tasks.formats import FORMATS, format_of

Row = dict[str, Any]
EXAMPLES_KEPT = 5


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something that could not be read: `where` is `file:line` or the like, `reason` a short countable phrase."""

    where: str
    reason: str


class BadCounts:
    """Bad rows counted by reason, with the places of the first five of each."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}

    @property
    def total(self) -> int:
        """How many were bad."""
        return sum(self.counts.values())

    def add(self, reason: str, where: str) -> None:
        """Count one."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        kept = self.examples.setdefault(reason, [])
        if len(kept) < EXAMPLES_KEPT:
            kept.append(where)

    def on_bad(self, bad: BadRow) -> None:
        """Count one that `read_rows` reports: pass this method as its `on_bad`."""
        self.add(bad.reason, bad.where)


def read_rows(path: str, on_bad: Callable[[BadRow], None]) -> Iterator[Row]:
    """Rows of jsonl, json (a list), parquet, html and warc files, plain or .gz / .zst; files in name order.

    An html file is one row {"id": stem, "html": text}, a warc one row a page. A folder is read to its depths; hidden
    files and other formats in it are not looked at.

    Raises:
        UserError: nothing is at `path`, no file there has a known format, or (at the end) not one row was read.
    """
    file_system, files = _files(path)
    return _rows(path, file_system, files, on_bad)


def _rows(path: str, file_system: Any, files: list[str], on_bad: Callable[[BadRow], None]) -> Iterator[Row]:
    count, bad = 0, 0
    for file in files:
        with file_system.open(file, "rb") as stream:
            for item in FORMATS[format_of(file)[0]](stream, file):
                if isinstance(item, dict):
                    count += 1
                    yield item
                else:
                    bad += 1
                    on_bad(BadRow(*item))
    if count == 0:
        found = f"{len(files)} empty file(s)" if not bad else f"nothing but {bad} damaged row(s) or file(s)"
        raise UserError(f"{path} holds no rows ({found}); give a file with at least one row")


def _files(path: str) -> tuple[Any, list[str]]:
    """The file system and the sorted files that `path` means."""
    import fsspec

    try:
        file_system, root = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError) as error:
        raise UserError(f"{path}: this kind of address cannot be opened ({error})") from error
    if file_system.isfile(root):
        if format_of(root)[0] not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS)
            raise UserError(f"{path} has none of the formats {known} (plain, .gz or .zst); rename or convert it")
        return file_system, [root]
    if file_system.isdir(root):
        found = [name for name in file_system.find(root) if not _hidden(name[len(root) :])]
    else:
        found = [name for name in file_system.glob(root) if file_system.isfile(name)]
        if not found:
            raise UserError(f"{path} does not exist; give a file, a folder or a glob that matches something")
    files = sorted(name for name in found if format_of(name)[0] in FORMATS)
    if not files:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise UserError(f"{path} holds no file with one of the formats {known} (plain, .gz or .zst)")
    return file_system, files


def _hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.replace("\\", "/").split("/"))


def read_hub(
    hub_id: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    data_files: str | None = None,
    streaming: bool = True,
) -> Iterator[Row]:
    """Rows of a hub dataset, in the hub's order; streaming reads them without storing the set.

    `data_files` names one file of a repository that is a folder of files; it then is the split.

    Raises:
        UserError: the dataset, configuration or split does not exist, or the hub cannot be reached.
    """
    import datasets

    named = f"{hub_id} (config {config}, split {split}, revision {revision or 'current'})"
    try:
        dataset = datasets.load_dataset(
            hub_id,
            name=config,
            split=split,
            revision=revision,
            data_files={split: data_files} if data_files else None,
            streaming=streaming,
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"hub dataset {named} cannot be loaded: {said}; mend the name or give a local file as `path`"
        ) from error
    return _streamed(dataset, named)


def _streamed(dataset: Iterable[Row], named: str) -> Iterator[Row]:
    """Rows of a loaded dataset, which are fetched as they are drawn."""
    import datasets

    try:
        for row in dataset:
            yield dict(row)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(f"hub dataset {named} broke off: {said}; run the same command to try again") from error
