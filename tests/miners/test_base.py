"""What every miner can do: a name of its own, leaving out the top, documents whose ids match."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Query
from retkd.miners.base import Miner, Ranking

DOCUMENTS = [f"{'en' if number % 10 == 3 else 'de'}-{number}" for number in range(100)]
QUERIES = [Query("a", ""), Query("b", ""), Query("short", "")]


class Listed(Miner):
    """Every query finds d0, d1, ... in this order; the query `short` only the first seven."""

    kind: Literal["listed"] = "listed"

    def rank(
        self, queries: Sequence[Query], inputs: Any, prepared: Any, depth: int, split: str | None
    ) -> list[Ranking]:
        prepared.append(depth)
        lists = [DOCUMENTS[: min(depth, 7)] if query.query_id == "short" else DOCUMENTS[:depth] for query in queries]
        return [
            Ranking(list(ids), np.arange(len(ids), 0, -1, dtype=np.float32), [self.source] * len(ids)) for ids in lists
        ]


def mined(**settings: Any) -> tuple[list[list[str]], list[int]]:
    """The ids of each query, and the depths that were asked for."""
    asked: list[int] = []
    found = Listed(**settings).mine(QUERIES, None, asked, "train")  # type: ignore[arg-type]
    assert all(len(r.doc_ids) == len(r.scores) == len(r.sources) for r in found)
    return [ranking.doc_ids for ranking in found], asked


def test_skip_leaves_out_the_top_and_keeps_the_depth() -> None:
    (a, _, short), asked = mined(depth=4, skip=5)
    assert a == DOCUMENTS[5:9]
    assert short == DOCUMENTS[5:7]
    assert asked == [9]
    assert mined(depth=4, skip=50)[0][2] == []


def test_scores_and_sources_stay_with_their_documents() -> None:
    (ranking, *_) = Listed(depth=2, skip=3, name="mine").mine(QUERIES[:1], None, [])  # type: ignore[arg-type]
    assert ranking.scores.tolist() == [2.0, 1.0]
    assert ranking.scores.dtype == np.float32
    assert ranking.sources == ["mine", "mine"]


def test_a_pattern_is_asked_deeper_until_there_are_enough_or_no_more_documents() -> None:
    (a, b, short), asked = mined(depth=2, skip=1, doc_id_pattern="^en-")
    assert a == b == ["en-13", "en-23"]
    assert short == []
    assert asked == [3, 12, 48]
    assert mined(depth=50, doc_id_pattern="^en-")[0][0] == DOCUMENTS[3::10]
    assert mined(depth=5, doc_id_pattern="^fr-")[0] == [[], [], []]
    assert mined(depth=100, doc_id_pattern="-")[0][0] == DOCUMENTS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"doc_id_pattern": "("}, "this is no regular expression: missing \\), unterminated subpattern"),
        ({"name": "qrels"}, "the source `qrels` is that of judged positives"),
        ({"name": "a+b"}, "should match pattern"),
        ({"skip": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Listed(**settings)
