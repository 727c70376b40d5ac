"""Where a recipe's data comes from: rows of sources and problem sets, and the fingerprints that enter keys.

A fingerprint changes when the data does: the hash of local files, the commit of a hub repository, the source
text of a `module:function` with its arguments.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fsspec

from octolab.errors import UserError
from octolab.recipe.data import DataSpec, ModelSpec, SourceSpec
from octolab.recipe.schema import Recipe
from octolab.store.keys import fingerprint_file, fingerprint_path, key_of
from octolab.tasks.named import choose_or_import
from octolab.tasks.problems import Problem
from octolab.tasks.registry import DATA_SETS, data_set, load_problems
from octolab.tasks.rows import BadCounts, Row, read_hub, read_rows


@dataclass(frozen=True)
class Origin:
    """Rows from exactly one place, whatever the recipe called it; `where` names the recipe's field."""

    where: str
    hub: str | None = None
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    data_files: str | None = None
    path: str | None = None
    make: str | None = None
    args: dict[str, Any] = field(default_factory=dict)

    def rows(self, bad: BadCounts) -> Iterator[Row]:
        """All rows in order; damaged ones are counted in `bad`.

        Raises:
            UserError: nothing is there, or `make` cannot be found.
        """
        if self.path is not None:
            return read_rows(self.path, bad.on_bad)
        if self.make is not None:
            function = choose_or_import(self.make, {}, f"{self.where}.make")
            try:
                return iter(function(**self.args))
            except TypeError as error:
                raise UserError(f"{self.where}.args do not fit {self.make}: {error}; mend the arguments") from error
        assert self.hub is not None
        return read_hub(
            self.hub,
            config=self.subset,
            split=self.split,
            revision=self.commit(),
            data_files=self.data_files,
        )

    def commit(self) -> str:
        """The commit of a hub data set, the same for as long as the process lives.

        Raises:
            UserError: the hub cannot be asked.
        """
        return hub_commit(str(self.hub), "dataset", self.revision, self.where, f"{self.where}.path=FILE")

    def fingerprint(self) -> Any:
        """What enters the key of a stage that reads these rows.

        Raises:
            UserError: the file or module is absent, or the hub cannot be asked for its commit.
        """
        if self.path is not None:
            return {"files": path_fingerprint(self.path, self.where)}
        if self.make is not None:
            return {"make": self.make, "source": module_fingerprint(self.make, self.where), "args": self.args}
        return {"hub": self.hub, "subset": self.subset, "split": self.split, "commit": self.commit()}


def path_fingerprint(path: str, where: str) -> str:
    """Hash of a local file, folder or glob; of a remote one, its listed sizes and checksums."""
    files, _ = fsspec.core.url_to_fs(path)
    local = Path(path)
    if "://" not in path and local.exists():
        return fingerprint_path(local)
    found = sorted(files.glob(path.split("://", 1)[-1]))
    if not found:
        raise UserError(f"{where}.path: nothing is at {path}; mend the path (relative ones start at {os.getcwd()})")
    if "://" not in path:
        return key_of([[name, fingerprint_file(Path(name))] for name in found])
    return key_of([[name, files.info(name).get("size"), str(files.checksum(name))] for name in found])


def module_fingerprint(name: str, where: str) -> str:
    """Hash of the source of the package that `module:function` lives in, or of its file where it stands alone.

    Raises:
        UserError: there is no such module.
    """
    module, sign, _ = name.partition(":")
    try:
        spec = importlib.util.find_spec(module) if sign else None
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(f"{where}: {name!r} is not a `module:function` that can be found; put it on PYTHONPATH")
    file = Path(spec.origin)
    siblings = sorted(file.parent.glob("*.py")) if (file.parent / "__init__.py").exists() else [file]
    return key_of([[sibling.name, fingerprint_file(sibling)] for sibling in siblings])


def hub_commit(repo: str, kind: str, revision: str | None, where: str, instead: str) -> str:
    """The commit that a hub repository's revision stands for; `instead` is the override that does without it.

    Raises:
        UserError: the hub cannot be reached or does not know the repository.
    """
    try:
        return _commit(repo, kind, revision)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise UserError(
            f"{where}: the hub gives no commit for {repo} ({reason}); check the name and the network, "
            f"or use a local copy with --set {instead}"
        ) from error


@cache
def _commit(repo: str, kind: str, revision: str | None) -> str:
    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi

    return str(HfApi().repo_info(repo, repo_type=kind, revision=revision, timeout=20).sha)


def model_commit(name: str, spec: ModelSpec) -> str:
    """The commit of a model's weights."""
    return hub_commit(str(spec.hub), "model", spec.revision, f"models.{name}", f"models.{name}.path=FOLDER")


def tokenizer_commit(name: str, spec: ModelSpec) -> str:
    """The commit of a tokenizer that a model takes from the hub."""
    where = f"models.{name}.tokenizer"
    return hub_commit(str(spec.tokenizer), "model", None, where, f"{where}=FOLDER")


def source_origin(recipe: Recipe, name: str) -> Origin:
    """The rows of a source that is not made by a curate stage."""
    spec = recipe.sources[name]
    if spec.data is not None:
        return data_origin(recipe, spec.data)
    return _origin(spec, f"sources.{name}", spec.split, None)


def data_origin(recipe: Recipe, name: str) -> Origin:
    """The rows of a named problem set: the recipe's own entry on top of what is known for the name.

    Raises:
        UserError: neither the recipe nor OctoLab knows the name.
    """
    spec = recipe.data.get(name, DataSpec())
    where = f"data.{name}"
    if spec.hub or spec.path or spec.make:
        return _origin(spec, where, spec.split or "train", None)
    if name not in DATA_SETS and name in recipe.data:
        raise UserError(f"{where} says neither hub, path nor make, and no such set is known; add one of them")
    known = data_set(name)
    return Origin(
        where=where,
        hub=known.hub_id,
        subset=spec.subset or known.config,
        split=spec.split or known.split,
        revision=spec.revision or known.revision,
        data_files=known.data_files,
    )


def _origin(spec: SourceSpec | DataSpec, where: str, split: str, data_files: str | None) -> Origin:
    return Origin(
        where=where,
        hub=spec.hub,
        subset=spec.subset,
        split=split,
        revision=spec.revision,
        data_files=data_files,
        path=spec.path,
        make=spec.make,
        args=spec.args,
    )


def problems_of(recipe: Recipe, name: str) -> tuple[list[Problem], BadCounts]:
    """The problems of a named set, limited as the recipe says, and the rows that were none."""
    bad = BadCounts()
    problems, unusable = load_problems(data_origin(recipe, name).rows(bad), name)
    for reason, count in unusable.counts.items():
        bad.counts[reason] = bad.counts.get(reason, 0) + count
        bad.examples.setdefault(reason, []).extend(unusable.examples[reason])
    limit = recipe.data[name].limit if name in recipe.data else None
    return problems[:limit], bad
