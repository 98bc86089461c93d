"""Splits cut out of one that a collection has: by document, so that no passage is trained on and tested on."""

from collections.abc import Iterable
from hashlib import sha256

from pydantic import Field, field_validator

from retkd.collections.base import Qrels, Query
from retkd.parts import Part


class Cut(Part):
    """The queries of ``split`` go to new splits in these shares. It is meant for collections that come with a test set alone."""

    split: str = Field(description="the split that is cut; it is there no longer")
    shares: dict[str, float] = Field(
        min_length=1, description="new split -> share of the judged documents; they add up to 1"
    )

    @field_validator("shares")
    @classmethod
    def _whole(cls, shares: dict[str, float]) -> dict[str, float]:
        if min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-9:
            raise ValueError(f"shares are positive and add up to 1; these add up to {sum(shares.values()):g}")
        return shares

    def queries(self, name: str, queries: Iterable[Query], qrels: Qrels) -> list[Query]:
        """Those of ``queries`` that belong to the new split ``name``."""
        return [query for query in queries if self._split_of(query.query_id, qrels) == name]

    def _split_of(self, query_id: str, qrels: Qrels) -> str:
        """By the SHA-256 of the first document that is judged relevant; of the query's own id where none is."""
        relevant = sorted(doc_id for doc_id, grade in qrels.get(query_id, {}).items() if grade > 0)
        place = place_of(relevant[0] if relevant else query_id)
        for name, share in self.shares.items():
            place -= share
            if place < 0:
                return name
        return list(self.shares)[-1]


def place_of(key: str) -> float:
    """A number in [0, 1) that a key always gets."""
    return int.from_bytes(sha256(key.encode()).digest()[:6], "big") / 2**48
