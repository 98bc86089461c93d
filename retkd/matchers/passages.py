"""A long document as overlapping passages, each cut by tokens; the best passage speaks for the document (MaxP).

Dai and Callan 2019, "Deeper Text Understanding for IR with Contextual Neural Language Modeling": 150 words with an
overlap of 75, at most 30. Here lengths are tokens, and the passages are the document's first ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Passages:
    """``tokens`` of a passage, ``stride`` from one start to the next, the ``most`` passages of a document."""

    tokens: int
    stride: int
    most: int

    def num_of(self, document_tokens: int) -> int:
        """How many passages a document of this length gives."""
        return len(self.spans(document_tokens))

    def spans(self, document_tokens: int) -> list[tuple[int, int]]:
        """(start, stop) in tokens. A document of at most ``tokens`` is one passage; none begins where all is covered.

        >>> Passages(tokens=4, stride=3, most=9).spans(9)
        [(0, 4), (3, 7), (6, 9)]
        """
        last = max(document_tokens - self.tokens, 0)
        starts = range(0, last + self.stride, self.stride)[: self.most]
        return [(start, min(start + self.tokens, document_tokens)) for start in starts]

    def of(self, document: str, offsets: Sequence[tuple[int, int]]) -> tuple[list[str], bool]:
        """(passages, whether a part of the document is in none). ``offsets``: (start, stop) of each token in characters."""
        if len(offsets) <= self.tokens:
            return [document], False
        spans = self.spans(len(offsets))
        texts = [document[offsets[start][0] : offsets[stop - 1][1]] for start, stop in spans]
        return texts, spans[-1][1] < len(offsets)
