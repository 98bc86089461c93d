"""What every generator gives: some queries for each document, each of which the document answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retkd.collections.base import Document
from retkd.parts import Part
from retkd.stage import Inputs


@dataclass(frozen=True)
class Generated:
    """``queries[document]`` in the order asked for, distinct within a document, perhaps fewer than asked for.

    ``counts`` go into the metrics of the stage, ``timings`` (what another run need not repeat) beside them.
    """

    queries: list[list[str]]
    counts: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)


class Generator(Part):
    """Makes queries. A subclass says how."""

    def generate(self, documents: Sequence[Document], num_queries: int, inputs: Inputs) -> Generated:
        """At most ``num_queries`` queries for each document. The same inputs give the same queries."""
        raise NotImplementedError
