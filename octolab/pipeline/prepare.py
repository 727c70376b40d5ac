"""The kinds of nodes that prepare: curate, tokenizer, shards and base models, one function a kind.

A function gets the run, the node and the stage's `StageIO`; it returns the summary and outputs of the manifest.
It may be called again on a folder it has partly filled; what it must not do is leave something that looks whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octolab.corpus.convert import converter
from octolab.corpus.document import Document
from octolab.corpus.read import read_documents
from octolab.corpus.steps import build_step, run_steps
from octolab.errors import UserError
from octolab.pipeline.graph import Graph, Node, ShardsSpec
from octolab.pipeline.keys import contamination_sets
from octolab.pipeline.origins import model_commit, problems_of, source_origin, tokenizer_commit
from octolab.recipe.data import ModelInit, ModelSpec
from octolab.recipe.schema import Recipe
from octolab.recipe.stages import CurateStage, TokenizerStage
from octolab.store.atomic import new_folder
from octolab.store.logs import ZstdJsonLines, read_log
from octolab.store.rundir import RunDir
from octolab.store.stage import StageIO
from octolab.tasks.problems import Problem
from octolab.tasks.rows import BadCounts
from octolab.tokens.shards import write_shards
from octolab.tokens.tokenizer import Tokenizer, train_bpe

DOCUMENTS_A_FRAME = 500
"""Documents between two appends of a curate stage's output."""


@dataclass(frozen=True)
class Run:
    """What a node may look at: the recipe, the graph and the run directory."""

    recipe: Recipe
    graph: Graph
    directory: RunDir

    def output(self, node: str, name: str) -> Path:
        """An output of a finished parent."""
        manifest = self.directory.manifest(node)
        assert manifest is not None, f"{node} is not finished"
        return self.directory.path / manifest["outputs"][name]


Result = tuple[dict[str, Any], dict[str, Path]]


# -- documents ---------------------------------------------------------------------------------------------


def documents_of(run: Run, node: Node, source: str, bad: BadCounts) -> Iterator[Document]:
    """Documents of a source: a curate stage's output, or rows through the source's converter."""
    spec = run.recipe.sources[source]
    documents: Iterator[Document]
    if spec.from_ is not None:
        records = read_log(run.output(node.parents[f"documents/{source}"], "documents"))
        documents = (Document(record["id"], record["text"], record["metadata"]) for record in records)
    else:
        rows = source_origin(run.recipe, source).rows(bad)
        documents = read_documents(rows, converter(spec.convert), source, bad)
    for number, document in enumerate(documents):
        if spec.limit is not None and number >= spec.limit:
            return
        yield document


def say_bad(bad: BadCounts, what: str, io: StageIO) -> None:
    """Name what was passed over."""
    for reason, count in bad.counts.items():
        places = ", ".join(bad.examples[reason][:3])
        io.log(f"{what}: {count} passed over: {reason} (first: {places})")


def curate(run: Run, node: Node, io: StageIO) -> Result:
    """Sources through corpus steps to documents.jsonl.zst."""
    stage = node.spec
    assert isinstance(stage, CurateStage)
    bad = BadCounts()
    sets: dict[str, list[Problem]] = {}
    for name in contamination_sets(run.recipe, stage):
        sets[name], _ = problems_of(run.recipe, name)
    steps = []
    for entry in stage.steps:
        name, arguments = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        if name == "decontaminate":
            arguments = arguments | {"problems": sets}
        steps.append((name, build_step(name, **arguments)))
    documents = (document for source in stage.sources for document in documents_of(run, node, source, bad))
    kept, counts = run_steps(documents, steps)
    path = io.out / "documents.jsonl.zst"
    path.unlink(missing_ok=True)
    log = ZstdJsonLines(path)
    batch: list[dict[str, Any]] = []
    number = characters = 0
    for document in kept:
        batch.append({"id": document.id, "text": document.text, "metadata": dict(document.metadata)})
        number += 1
        characters += len(document.text)
        if len(batch) == DOCUMENTS_A_FRAME:
            log.append(batch)
            batch = []
            io.progress(number, 0, f"{number:,} documents kept")
    log.append(batch)
    log.offset()
    log.close()
    say_bad(bad, "rows", io)
    if not number:
        raise UserError(f"no document is left after its steps; look at {io.out / 'log.txt'}")
    summary = {
        "documents": number,
        "characters": characters,
        "bad_rows": bad.counts,
        "bad_examples": bad.examples,
        "steps": counts.summary(),
    }
    return summary, {"documents": path}


# -- tokens ------------------------------------------------------------------------------------------------


def tokenizer(run: Run, node: Node, io: StageIO) -> Result:
    """Train a tokenizer on the first documents of each source."""
    stage = node.spec
    assert isinstance(stage, TokenizerStage)
    bad = BadCounts()

    def texts() -> Iterator[str]:
        for source in stage.sources:
            for number, document in enumerate(documents_of(run, node, source, bad)):
                if number >= stage.documents:
                    break
                yield document.text

    trained = train_bpe(texts(), stage.vocab_size)
    folder = io.out / "tokenizer"
    with new_folder(folder) as partial:
        trained.save(partial)
    say_bad(bad, "rows", io)
    return {"vocab_size": trained.vocab_size, "hash": trained.hash}, {"tokenizer": folder}


def shards(run: Run, node: Node, io: StageIO) -> Result:
    """A source as packed token rows."""
    spec = node.spec
    assert isinstance(spec, ShardsSpec)
    bad = BadCounts()
    parent = run.graph.nodes[node.parents["tokenizer"]]
    where = run.output(parent.name, "tokenizer" if parent.kind == "tokenizer" else "checkpoint")

    def pairs() -> Iterator[tuple[str, str]]:
        for number, document in enumerate(documents_of(run, node, spec.source, bad)):
            if number % 1000 == 0:
                io.progress(number, 0, f"{number:,} documents")
            yield document.id, document.text

    folder = io.out / "shards"
    with new_folder(folder) as partial:
        summary = write_shards(partial, pairs(), Tokenizer.load(where), spec.sequence_length, source=spec.source)
    say_bad(bad, f"source {spec.source}", io)
    summary["bad"] = summary["bad"] | bad.counts
    return summary, {"shards": folder}


# -- models ------------------------------------------------------------------------------------------------


def model(run: Run, node: Node, io: StageIO) -> Result:
    """A base model as a Hugging Face folder: made with random weights, fetched, or used where it lies."""
    from octolab.model.hf import read_config

    spec = node.spec
    assert isinstance(spec, ModelSpec)
    tokenizer_folder = _tokenizer_folder(run, node, spec)
    if spec.init is not None:
        assert tokenizer_folder is not None
        folder = io.out / "checkpoint"
        _random_model(spec.init, tokenizer_folder, folder, node.seed)
    elif spec.path is not None:
        folder = Path(spec.path).resolve()
    else:
        folder = _from_hub(str(spec.hub), model_commit(node.name, spec), f"models.{node.name}")
    config = read_config(folder)
    if spec.init is None and tokenizer_folder is not None:
        folder = _with_tokenizer(folder, tokenizer_folder, io.out / "checkpoint")
    entries = Tokenizer.load(folder).vocab_size
    if entries > config.vocab_size:
        raise UserError(
            f"models.{node.name}: its tokenizer has {entries} entries but the model only {config.vocab_size}; "
            "give the tokenizer that the checkpoint was trained with"
        )
    return {"parameters": config.parameters(), "family": config.family}, {"checkpoint": folder}


def _tokenizer_folder(run: Run, node: Node, spec: ModelSpec) -> Path | None:
    if "tokenizer" in node.parents:
        return run.output(node.parents["tokenizer"], "tokenizer")
    if spec.tokenizer is None:
        return None
    if Path(spec.tokenizer).is_dir():
        return Path(spec.tokenizer)
    where = f"models.{node.name}.tokenizer"
    return _from_hub(spec.tokenizer, tokenizer_commit(node.name, spec), where, ["*token*", "*.json", "merges.txt"])


def _random_model(init: ModelInit, tokenizer_folder: Path, folder: Path, seed: int) -> None:
    from octolab.model.config import DecoderConfig
    from octolab.model.decoder import Decoder
    from octolab.model.hf import save_checkpoint

    loaded = Tokenizer.load(tokenizer_folder)
    config = DecoderConfig.of_family(
        init.family,
        vocab_size=loaded.vocab_size,
        width=init.width,
        layers=init.layers,
        heads=init.heads,
        kv_heads=init.kv_heads or init.heads,
        ffn=init.ffn,
        positions=init.positions,
        tied=init.tied,
        rope_theta=init.rope_theta,
    )
    with new_folder(folder) as partial:
        save_checkpoint(Decoder(config).reset(seed), partial, bos_id=loaded.bos_id, eos_ids=loaded.eos_ids)
        loaded.save(partial)


def _from_hub(repo: str, commit: str, where: str, patterns: list[str] | None = None) -> Path:
    from huggingface_hub import snapshot_download

    wanted = patterns or ["*.json", "*.safetensors", "*token*", "merges.txt"]
    try:
        return Path(snapshot_download(repo, revision=commit, allow_patterns=wanted))
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{where}: {repo} cannot be fetched from the hub ({reason}); check name, access and network, "
            "or give a local folder with `path`"
        ) from error


def _with_tokenizer(checkpoint: Path, tokenizer_folder: Path, folder: Path) -> Path:
    """A folder with the checkpoint's weights and another tokenizer."""
    with new_folder(folder) as partial:
        for file in [*checkpoint.glob("*.safetensors"), *checkpoint.glob("*.json")]:
            if "token" not in file.name:
                shutil.copy2(file, partial / file.name)
        Tokenizer.load(tokenizer_folder).save(partial)
    return folder
