"""MS MARCO passage ranking, from its official tab-separated files in a local folder."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from retkd.collections.base import CollectionConfig
from retkd.collections.lines import found
from retkd.collections.local import LocalCollection, SplitFiles
from retkd.parts import Part


class MsMarcoSplit(Part):
    """The two files of a split, by name inside the folder (each also as .gz)."""

    queries: str = Field(description="query_id TAB text")
    qrels: str | None = Field(default=None, description="TREC qrels; none: nothing is judged, all queries are used")
    judged_only: bool = Field(default=True, description="leave out queries without a judgement")


class MsMarco(CollectionConfig):
    """The 8.8M passages of MS MARCO: what collectionandqueries.tar.gz holds, unpacked.

    The defaults use the judged queries alone: 502,939 of the 808,731 training queries have a judgement. TREC DL 2019 is
    ``splits.test: {queries: msmarco-test2019-queries.tsv, qrels: 2019qrels-pass.txt}``. ``splits`` replaces the
    default as a whole.
    """

    kind: Literal["msmarco"] = "msmarco"
    path: Path = Field(description="the folder")
    corpus: str = Field(default="collection.tsv", description="doc_id TAB text")
    splits: dict[str, MsMarcoSplit] = Field(
        default={
            "train": MsMarcoSplit(queries="queries.train.tsv", qrels="qrels.train.tsv"),
            "dev": MsMarcoSplit(queries="queries.dev.small.tsv", qrels="qrels.dev.small.tsv"),
        },
        min_length=1,
    )

    def open(self, cache: Path) -> LocalCollection:
        """The collection. Raises :class:`DataError` when a file is missing."""
        folder, expected = self.path.expanduser(), self._expected()
        files = {
            name: SplitFiles(
                queries=found(folder, split.queries, expected),
                qrels=found(folder, split.qrels, expected) if split.qrels else None,
                judged_only=split.judged_only and split.qrels is not None,
            )
            for name, split in self.splits.items()
        }
        return LocalCollection(self, cache, found(folder, self.corpus, expected), "tsv", files)

    def _expected(self) -> str:
        named = [name for split in self.splits.values() for name in (split.queries, split.qrels) if name]
        return ", ".join([self.corpus, *named]) + ", each also as .gz"
