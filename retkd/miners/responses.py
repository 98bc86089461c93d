"""Lists to choose an answer from: what is judged relevant, among documents drawn by lot. For measures such as R10@1."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from retkd.collections.base import Query
from retkd.errors import DataError
from retkd.miners.base import NOTHING, Miner, Ranking
from retkd.miners.random import first_of_permutation
from retkd.stage import Inputs


class Responses(Miner):
    """``depth`` candidates for each judged query: its relevant documents and random others, in random order.

    This is the set-up of response selection, no retrieval: it reads the judgements, so it is for evaluation, and nothing
    is to be trained on its lists. With ``depth`` relevant documents or more, one place is left for another.
    """

    kind: Literal["responses"] = "responses"
    depth: int = Field(default=10, ge=2, description="candidates in each list, relevant ones included")
    seed: int = 0

    @model_validator(mode="after")
    def _whole_lists(self) -> "Responses":
        if self.skip or self.doc_id_pattern or self.language:
            raise ValueError(
                "responses makes whole lists: it goes with neither `skip` nor `doc_id_pattern` nor `language`"
            )
        return self

    def prepare(self, inputs: Inputs) -> object:
        """The ids of all documents, in the collection's order, and the judgements by split as they are asked for."""
        doc_ids = [document.doc_id for document in inputs.collection.documents()]
        if len(doc_ids) < self.depth:
            raise DataError(
                "the collection is smaller than a list of candidates",
                where="miner responses, key depth",
                seen=f"{len(doc_ids)} documents",
                allowed=f"{self.depth} or more",
            )
        return doc_ids

    def rank(
        self, queries: Sequence[Query], inputs: Inputs, prepared: object, depth: int, split: str | None
    ) -> list[Ranking]:
        """The lists; the score at place r is 1 / r and says nothing. A query without a relevant document gets none."""
        assert split is not None, "the stage says which split it mines"
        doc_ids: Any = prepared
        qrels = inputs.collection.qrels(split)
        return [self._list(query.query_id, qrels.get(query.query_id, {}), doc_ids, depth) for query in queries]

    def _list(self, query_id: str, judged: Mapping[str, int], doc_ids: list[str], depth: int) -> Ranking:
        relevant = sorted(doc_id for doc_id, grade in judged.items() if grade > 0)
        if not relevant:
            return NOTHING
        generator = np.random.default_rng(list(sha256(f"{self.seed}|{query_id}".encode()).digest()))
        drawn = first_of_permutation(generator, len(doc_ids), self.depth + len(relevant))
        kept = relevant[: self.depth - 1]
        others = [doc_ids[row] for row in drawn if doc_ids[row] not in relevant][: self.depth - len(kept)]
        whole = [*kept, *others]
        order = generator.permutation(len(whole))[:depth]
        scores = (1.0 / np.arange(1, len(order) + 1)).astype(np.float32)
        return Ranking([whole[place] for place in order], scores, [self.source] * len(order))
