"""Stop strings: ending a completion where its text contains one.

Decoding every row at every step would cost more than the model, so only tokens whose text contains the last
character of a stop string are looked at: every other token cannot complete one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from octolab.tokens.tokenizer import Tokenizer

MARGIN = 8
"""Tokens decoded beyond the stop string's own length, for characters that span several tokens."""


class StopStrings:
    """The stop strings of one call; false where there are none."""

    def __init__(self, tokenizer: Tokenizer, strings: tuple[str, ...]) -> None:
        self.tokenizer, self.strings = tokenizer, strings
        if not strings:
            return
        self.window = max(len(text.encode("utf-8")) for text in strings) + MARGIN
        ends = {text[-1] for text in strings}
        texts = (tokenizer.token_text(token) for token in range(tokenizer.vocab_size))
        # A character outside ASCII may be split over tokens, whose texts then do not show it: look at all.
        every = any(ord(end) > 127 for end in ends)
        self.may_end = torch.tensor([every or not ends.isdisjoint(text) for text in texts])

    def __bool__(self) -> bool:
        return bool(self.strings)

    def candidates(self, token_R: Tensor) -> list[int]:
        """Rows whose newest token may complete a stop string."""
        tokens = token_R.cpu()
        known = tokens < self.may_end.numel()
        return (known & self.may_end[tokens.clamp(max=self.may_end.numel() - 1)]).nonzero().squeeze(-1).tolist()

    def hit(self, token_T: Tensor, made: int) -> bool:
        """Whether the end of a completion's first `made` tokens contains a stop string."""
        text = self.tokenizer.decode(token_T[max(0, made - self.window) : made].tolist())
        return any(stop in text for stop in self.strings)

    def cut(self, text: str) -> str:
        """`text` up to its first stop string."""
        places = [place for place in (text.find(stop) for stop in self.strings) if place >= 0]
        return text[: min(places)] if places else text
