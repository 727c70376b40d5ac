r"""How a question is put to a base model.

In goes a question, out comes the prompt that ends where the model is to write on. A training example is the same
prompt with the solution in its place, so what mid-training shows and what RL asks are one format. Nothing here is
a chat template: a base model has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from octolab.errors import UserError
from octolab.tasks.named import choose_or_import


@dataclass(frozen=True)
class Template:
    """A prompt frame: `render(question)` is the prompt, `stop_strings` end a completion that runs on."""

    name: str
    render: Callable[[str], str]
    stop_strings: tuple[str, ...] = ()

    def completion(self, text: str) -> str:
        """What follows the prompt in a training example: one space, then the text.

        The space belongs to the completion because byte-pair tokens carry their leading space; a prompt that
        ended in one would be cut off where no training text ever is.
        """
        return " " + text.strip()

    def example(self, question: str, text: str) -> str:
        """A whole training example: prompt and completion."""
        return self.render(question) + self.completion(text)


def _simple(question: str) -> str:
    return f"Question:{question}\nAnswer:"


def _orz(question: str) -> str:
    return (
        "This is a conversation between a User, who asks a question, and an Assistant, who answers it. The Assistant"
        " thinks the question through step by step before it gives its answer. User: Put your final answer inside"
        f" \\boxed{{}}; it is read from the \\boxed{{}} by a program.\n{question}\nAssistant:"
    )


TEMPLATES: dict[str, Template] = {
    # The paper's default, and its format for question-answer training data: `Question:{}\nAnswer:{}`.
    "simple": Template("simple", _simple),
    # The paper's complex template has the Open-Reasoner-Zero frame; same instruction, our wording.
    "orz": Template("orz", _orz, ("User:", "Assistant:")),
}


def template(name: str) -> Template:
    """A named template, or the user's own `module:function` (question -> prompt, or a Template).

    Raises:
        UserError: unknown name (with the nearest one), or something that is neither function nor Template.
    """
    found = choose_or_import(name, TEMPLATES, "template")
    if isinstance(found, Template):
        return found
    if callable(found):
        return Template(name, found)
    raise UserError(f"template {name!r} is neither a function of the question nor a Template")
