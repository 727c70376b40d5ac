"""Our steps inside a datatrove pipeline, for its local, Slurm and Ray executors.

In goes a step, out comes a datatrove `PipelineStep` that does the same to datatrove's documents and reports drops
as its statistics (`dropped_<reason>`). datatrove is needed only here. Each of its tasks runs the step on its own
shard: what must see the whole corpus, such as deduplication, sees one shard at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from octolab.corpus.document import Document, Dropped, Step
from octolab.errors import UserError


def as_datatrove(step: Step, name: str) -> Any:
    """A datatrove `PipelineStep` called `name` that runs `step`.

    Raises:
        UserError: datatrove is not installed.
    """
    try:
        from datatrove.data import Document as TheirDocument
        from datatrove.pipeline.base import PipelineStep
    except ModuleNotFoundError as error:
        raise UserError(f"step {name!r} in a datatrove pipeline needs datatrove; run pip install datatrove") from error

    class OctoLabStep(PipelineStep):
        type = "OCTOLAB"

        def __init__(self) -> None:
            super().__init__()
            self.name = name

        def run(self, data: Iterable[Any] | None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
            for item in step(self._taken(data or ())):
                if isinstance(item, Dropped):
                    self.stat_update(f"dropped_{item.reason}")
                    continue
                self.stat_update("forwarded")
                yield TheirDocument(text=item.text, id=item.id, metadata=dict(item.metadata))

        def _taken(self, data: Iterable[Any]) -> Iterator[Document]:
            for document in data:
                self.stat_update("total")
                yield Document(document.id, document.text, document.metadata)

    return OctoLabStep()
