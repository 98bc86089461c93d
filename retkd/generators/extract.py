"""Queries without a language model: words drawn from the document. A baseline, and named so: nobody asks like that."""

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from retkd.collections.base import Document
from retkd.generators.base import Generated, Generator
from retkd.stage import Inputs

WORD = re.compile(r"[^\W_]{2,}")


class Extract(Generator):
    """``num_words`` words of the document, drawn by TF-IDF weight among its ``pool`` weightiest, in the text's order.

    Reads the whole collection once for the document frequencies.
    """

    kind: Literal["extract"] = "extract"
    num_words: int = Field(default=4, ge=1)
    pool: int = Field(default=12, ge=1)

    def generate(self, documents: Sequence[Document], num_queries: int, inputs: Inputs) -> Generated:
        """Queries by lot; a document with fewer than two words that tell it apart gets none."""
        frequency: Counter[str] = Counter()
        for document in inputs.collection.documents():
            frequency.update(set(words(document.full_text)))
        total = inputs.collection.num_documents
        return Generated([self._queries(d, frequency, total, num_queries, inputs.seed) for d in documents])

    def _queries(
        self, document: Document, frequency: Counter[str], total: int, num_queries: int, seed: int
    ) -> list[str]:
        text = words(document.full_text)
        weight = {word: count * math.log(total / frequency[word]) for word, count in Counter(text).items()}
        best = sorted((word for word in weight if weight[word] > 0), key=lambda word: (-weight[word], word))[
            : self.pool
        ]
        if len(best) < 2:
            return []
        drawn = random.Random(f"{seed} {document.doc_id}")
        queries = (self._query(text, best, weight, drawn) for _ in range(num_queries))
        return list(dict.fromkeys(queries))

    def _query(self, text: list[str], best: list[str], weight: dict[str, float], drawn: random.Random) -> str:
        """Drawn without putting back: the words with the largest ``uniform ** (1 / weight)`` (Efraimidis 2006)."""
        lots = sorted(best, key=lambda word: -(drawn.random() ** (1 / weight[word])))[: self.num_words]
        return " ".join(sorted(lots, key=text.index))


def words(text: str) -> list[str]:
    """Lower-case words of two or more letters and digits.

    >>> words("The HTTP_server's 2nd reply, a")
    ['the', 'http', 'server', '2nd', 'reply']
    """
    return WORD.findall(text.lower())
