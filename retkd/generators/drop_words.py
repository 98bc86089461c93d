"""Queries that have lost some of their words."""

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from retkd.generators.augmented import Augmented
from retkd.stage import Inputs


class DropWords(Augmented):
    """Each word of a query is left out with probability ``share``, by lot of the seed and the query."""

    kind: Literal["drop_words"] = "drop_words"
    share: float = Field(default=0.2, gt=0.0, lt=1.0)

    def variants(self, queries: Sequence[str], num: int, inputs: Inputs) -> list[list[str]]:
        """A query of one word, and one that loses nothing or everything in a draw, gets fewer."""
        return [self._of(query, num, random.Random(f"{inputs.seed} {query}")) for query in queries]

    def _of(self, query: str, num: int, drawn: random.Random) -> list[str]:
        words = query.split()
        kept = ([word for word in words if drawn.random() >= self.share] for _ in range(num))
        texts = (" ".join(some) for some in kept if 0 < len(some) < len(words))
        return list(dict.fromkeys(texts))
