"""Conversations: each turn is a query, read as the history so far, as a rewrite that stands alone, or as it was said."""

import json
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from retkd.collections.base import Collection, CollectionConfig, Query
from retkd.collections.delegated import WithDocumentsOf
from retkd.collections.file_digest import file_digests
from retkd.collections.qrels_file import read_qrels
from retkd.collections.query_file import read_queries
from retkd.collections.topics import read_turns, with_rewrites
from retkd.collections.turns import QueryText, Turn
from retkd.errors import DataError

if TYPE_CHECKING:
    AnyCollection = Any


class Conversation(CollectionConfig, QueryText):
    """Turns of topic files over the documents of another collection.

    A teacher reads one view of it (``query_text: rewrite``), a student another (``history``): ids are the same in both.
    """

    kind: Literal["conversation"] = "conversation"
    documents: "AnyCollection" = Field(
        description="the collection whose documents are searched; its queries are not read"
    )
    topics: dict[str, Path] = Field(
        min_length=1, description="split -> a topic file of TREC CAsT or iKAT, or JSON lines (.jsonl)"
    )
    qrels: dict[str, Path] = Field(
        default={}, description="split -> judgements, TREC or BEIR columns; none: nothing is judged"
    )
    rewrites: dict[str, Path] = Field(
        default={},
        description="split -> query_id TAB rewrite, where the topic file has none; its name as a rewrite is `file`",
    )

    @model_validator(mode="after")
    def _splits_agree(self) -> "Conversation":
        for key in ("qrels", "rewrites"):
            unknown = [split for split in getattr(self, key) if split not in self.topics]
            if unknown:
                raise ValueError(f"`{key}` names the split {unknown[0]!r}; `topics` has {', '.join(self.topics)}")
        return self

    def open(self, cache: Path) -> "ConversationCollection":
        """The collection. Raises :class:`DataError` when a file is missing."""
        for key in ("topics", "qrels", "rewrites"):
            for split, path in getattr(self, key).items():
                if not path.expanduser().is_file():
                    raise DataError(
                        "there is no such file",
                        where=f"key collection.{key}.{split}",
                        seen=path,
                        next_step=f"--set collection.{key}.{split}=PATH",
                    )
        return ConversationCollection(self, self.documents.open(cache), cache)


class ConversationCollection(WithDocumentsOf):
    """Turns as queries; everything is read when it is first asked for."""

    def __init__(self, config: Conversation, base: Collection, cache: Path) -> None:
        super().__init__(config, base)
        self._told, self._cache = config, cache
        self._read: dict[str, dict[str, Turn]] = {}
        self._judged: dict[str, dict[str, dict[str, int]]] = {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the documents, the content of the files, and which text a turn has."""
        told = self._told
        named = [
            (key, split, path) for key in ("topics", "qrels", "rewrites") for split, path in getattr(told, key).items()
        ]
        contents = file_digests([path.expanduser() for _, _, path in named], self._cache)
        files = sorted([key, split, content] for (key, split, _), content in zip(named, contents, strict=True))
        text = told.model_dump(mode="json", include=set(QueryText.model_fields))
        return sha256(json.dumps(["conversation", self._base.digest, files, text], sort_keys=True).encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """Those of ``topics``."""
        return tuple(self._told.topics)

    def turns(self, split: str) -> dict[str, Turn]:
        """query_id -> turn."""
        if split not in self._read:
            turns = {
                query_id: turn
                for query_id, turn in read_turns(self._told.topics[split].expanduser()).items()
                if turn.split in (None, split)
            }
            if split in self._told.rewrites:
                records = read_queries(self._told.rewrites[split].expanduser(), "tsv")
                turns = with_rewrites(turns, {key: record.query.text for key, record in records.items()}, "file")
            self._read[split] = turns
        return self._read[split]

    def all_queries(self, split: str) -> list[Query]:
        """Every turn of a split, in the order of its file."""
        return [Query(query_id, self._told.text_of(turn)) for query_id, turn in self.turns(split).items()]

    def all_qrels(self, split: str) -> dict[str, dict[str, int]]:
        """The judgements of a split, checked against turns and documents when first read."""
        if split not in self._judged:
            path = self._told.qrels.get(split)
            known = self.turns(split)
            self._judged[split] = {} if path is None else read_qrels(path.expanduser(), known, self._known_documents)
        return self._judged[split]

    def _known_documents(self, doc_ids: Any) -> Any:
        import numpy as np

        return np.array(self.contains(doc_ids), dtype=bool)

    def describe(self) -> dict[str, object]:
        """The counts, and how long the conversations are."""
        lengths = {s: max((len(turn.earlier) for turn in self.turns(s).values()), default=0) + 1 for s in self.splits}
        return {**super().describe(), "query text": self._told.query_text, "turns of the longest conversation": lengths}
