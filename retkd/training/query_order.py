"""In which order a training sees its queries: shuffled, some more often than others, or each batch within one topic."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retkd.errors import DataError
from retkd.parts import Candidates, Part, one_of, registry

TOPICS = "clusters.parquet"
"""The file of a select stage's artifact: columns query_id and cluster."""
REPEATS = "repeats.parquet"
"""The file of a select stage's artifact: columns query_id, times and error."""


class Batches(Part):
    """Whole passes over the queries, each shuffled, unless a subclass says otherwise."""

    def topics(
        self, query_ids: Sequence[str], candidates: str, artifacts: Mapping[str, Path], languages: Sequence[str] = ()
    ) -> np.ndarray | None:
        """The topic of each query; None: all are of one."""
        return None

    def times(self, query_ids: Sequence[str], candidates: str, artifacts: Mapping[str, Path]) -> np.ndarray | None:
        """How often a pass has each query; None: once."""
        return None

    def stops(self, times: np.ndarray | None) -> bool:
        """Whether there is nothing to train on, so that no step is made."""
        return False


class Shuffled(Batches):
    """Whole passes over the queries, each shuffled."""

    kind: Literal["shuffled"] = "shuffled"


class Oversampled(Batches):
    """Whole shuffled passes in which the queries that a select stage's `repeats` chose stand several times."""

    kind: Literal["oversampled"] = "oversampled"
    repeats: Candidates | None = None
    """The select stage that has them; default: the stage's own `candidates`."""
    stop: bool = False
    """No step where no query is repeated: the student is published as it begins. So a loop of rounds ends."""

    def times(self, query_ids: Sequence[str], candidates: str, artifacts: Mapping[str, Path]) -> np.ndarray:
        """As the select stage says. Raises :class:`DataError` where it does not."""
        stage = self.repeats or candidates
        return _numbers(
            query_ids,
            artifacts[stage] / REPEATS,
            "times",
            missing=f"the stage {stage!r} does not say which queries to repeat",
            where="batches: {kind: oversampled}",
            allowed="a select stage with `repeats: {teacher: ..., student: ...}`",
            next_step=f"add `repeats` to stages.{stage}, or name the select stage that has them in batches.repeats",
        )

    def stops(self, times: np.ndarray | None) -> bool:
        """With ``stop``, where nothing is repeated."""
        return self.stop and times is not None and bool((times == 1).all())


class ByTopic(Batches):
    """Each batch from one cluster of the queries (TAS-B), drawn in proportion to its size.

    A cluster's queries come in whole shuffled passes too, so that every query is as likely as any other; one with fewer
    queries than a batch repeats them in it. Hofstaetter et al. 2021; drawing by size is ours.
    """

    kind: Literal["by_topic"] = "by_topic"
    clusters: Candidates | None = None
    """The select stage that has them; default: the stage's own `candidates`."""

    def topics(
        self, query_ids: Sequence[str], candidates: str, artifacts: Mapping[str, Path], languages: Sequence[str] = ()
    ) -> np.ndarray:
        """The cluster of each query. Raises :class:`DataError` where the artifact does not say it."""
        return read_topics(query_ids, self.clusters or candidates, artifacts)


class ByLanguage(Batches):
    """Each batch with documents of one language, so that the language does not tell a positive from others' documents.

    Goes with ``document_languages: {mix: lists}``; languages are drawn in proportion to their lists.
    """

    kind: Literal["by_language"] = "by_language"

    def topics(
        self, query_ids: Sequence[str], candidates: str, artifacts: Mapping[str, Path], languages: Sequence[str] = ()
    ) -> np.ndarray:
        """The number of each example's language."""
        return np.unique(np.array(languages), return_inverse=True)[1].astype(np.int64)


BATCHES = registry("batches", Shuffled, ByTopic, Oversampled, ByLanguage)
AnyBatches: Any = one_of(BATCHES)


def write_topics(query_ids: Sequence[str], topics: np.ndarray, folder: Path) -> None:
    """Write ``clusters.parquet`` into an artifact's folder."""
    _write(query_ids, folder / TOPICS, cluster=topics)


def write_repeats(query_ids: Sequence[str], times: np.ndarray, errors: np.ndarray, folder: Path) -> None:
    """Write ``repeats.parquet`` into an artifact's folder."""
    _write(query_ids, folder / REPEATS, times=times, error=errors)


def read_topics(query_ids: Sequence[str], stage: str, artifacts: Mapping[str, Path]) -> np.ndarray:
    """The cluster of each query, int64, as a stage published it."""
    return _numbers(
        query_ids,
        artifacts[stage] / TOPICS,
        "cluster",
        missing=f"the stage {stage!r} has no clusters of queries",
        where="batches: {kind: by_topic}",
        allowed="a select stage with `clusters: {model: ..., num_clusters: ...}`",
        next_step=f"add `clusters` to stages.{stage}, or name the select stage that has them in batches.clusters",
    )


def num_errors_of(folder: Path) -> int:
    """How many queries an artifact's ``repeats.parquet`` holds for errors, repeated or not."""
    import pyarrow.parquet as pq

    found = pq.read_table(folder / REPEATS)
    if "error" not in found.column_names:
        raise DataError(
            "the round before was selected by an earlier retkd, which counted no more errors than it repeated",
            where=folder,
            next_step="remove this folder and run again: the round is selected anew",
        )
    return int((found["error"].to_numpy() > 0).sum())


def _write(query_ids: Sequence[str], path: Path, **columns: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from retkd.shards import atomic

    numbers = {name: pa.array(values, pa.int32()) for name, values in columns.items()}
    rows = pa.table({"query_id": pa.array(query_ids, pa.string()), **numbers})
    with atomic(path) as temporary:
        pq.write_table(rows, temporary)


def _numbers(query_ids: Sequence[str], path: Path, column: str, missing: str, **told: str) -> np.ndarray:
    """One int64 per query. Raises :class:`DataError` where there is no file, which ``told`` is about, or no number."""
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(missing, **told)  # type: ignore[arg-type]
    columns = pq.read_table(path).to_pydict()
    known = dict(zip(columns["query_id"], columns[column], strict=True))
    unknown = [query_id for query_id in query_ids if query_id not in known]
    if unknown:
        raise DataError(
            f"training queries have no {column}",
            where=path,
            seen=f"{len(unknown):,}, such as {unknown[0]!r}",
            next_step="name in `batches` the select stage that the training lists come from",
        )
    return np.array([known[query_id] for query_id in query_ids], dtype=np.int64)


class QueryOrder:
    """Which of ``num_examples`` stands in each of ``num_rows`` rows. A row is the same however many rows there are.

    Each topic is an endless stream of whole passes, each shuffled by (seed, pass, topic); batch number b takes the next
    ``batch_queries`` of the topic that (seed, b) draws. One topic is the plain shuffled order.
    """

    def __init__(
        self, num_examples: int, num_rows: int, seed: int, topics: np.ndarray | None = None, batch_queries: int = 1
    ) -> None:
        topics = np.zeros(num_examples, dtype=np.int64) if topics is None else topics
        self.members = [np.flatnonzero(topics == topic) for topic in np.unique(topics)]
        self.seed, self.batch_queries = seed, batch_queries
        self.topic, self.before = self._drawn(-(-num_rows // batch_queries), num_examples)
        self._passes: dict[int, tuple[int, list[int]]] = {}

    def _drawn(self, num_batches: int, num_examples: int) -> tuple[np.ndarray, np.ndarray]:
        """(topic, how many earlier batches are of this topic) of each batch."""
        if len(self.members) == 1:
            return np.zeros(num_batches, dtype=np.int64), np.arange(num_batches)
        ends = np.cumsum([len(members) for members in self.members]) / num_examples
        numbers = np.random.default_rng([self.seed, 0x70B1C]).random(num_batches)
        topic = np.minimum(np.searchsorted(ends, numbers, side="right"), len(ends) - 1)
        before = np.empty(num_batches, dtype=np.int64)
        for each in range(len(ends)):
            mine = np.flatnonzero(topic == each)
            before[mine] = np.arange(len(mine))
        return topic, before

    def __getitem__(self, row: int) -> int:
        batch, place = divmod(row, self.batch_queries)
        topic = int(self.topic[batch])
        members = self.members[topic]
        number, position = divmod(int(self.before[batch]) * self.batch_queries + place, len(members))
        if self._passes.get(topic, (-1, []))[0] != number:
            self._passes[topic] = (number, self._shuffled(topic, number, len(members)))
        return int(members[self._passes[topic][1][position]])

    def _shuffled(self, topic: int, number: int, count: int) -> list[int]:
        import torch

        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number + (topic << 44)) % 2**63)
        order: list[int] = torch.randperm(count, generator=generator).tolist()
        return order
