from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from retkd.collections.base import Collection
from retkd.miners import AnyMiner
from retkd.miners.bm25 import BM25
from retkd.miners.fused import Fused
from retkd.miners.fusion import interleaved, reciprocal_rank, weighted
from retkd.miners.random import RandomMiner
from tests.conftest import MakeInputs

MINERS = [BM25(depth=5, analyzer="plain"), RandomMiner(depth=6, name="any")]


def fused_and_lists(inputs: MakeInputs, collection: Collection, **settings: Any):  # type: ignore[no-untyped-def]
    """What the fused miner finds for each dev query, and its miners' own rankings."""
    ready, queries = inputs(), collection.queries("dev")
    fused = Fused(miners=MINERS, **settings)
    lists = [miner.mine(queries, ready, miner.prepare(ready)) for miner in MINERS]
    found = fused.mine(queries, ready, fused.prepare(ready), "dev")
    assert len(found) == len(queries) > 3
    return list(zip(found, zip(*lists, strict=True), strict=True))


def test_it_fuses_what_its_miners_find(inputs: MakeInputs, collection: Collection) -> None:
    for found, lists in fused_and_lists(inputs, collection, depth=4):
        expected = reciprocal_rank(lists, 60.0, 4)
        assert (found.doc_ids, found.sources) == (expected.doc_ids, expected.sources)
        assert len(found.doc_ids) == 4
        assert found.scores.tolist() == expected.scores.tolist()


def test_weights_go_to_the_miner_of_that_name(inputs: MakeInputs, collection: Collection) -> None:
    settings = {"method": "weighted", "weights": {"any": 3.0}, "normalisation": "z_score"}
    for found, lists in fused_and_lists(inputs, collection, depth=8, **settings):
        assert found.doc_ids == weighted(lists, [1.0, 3.0], "z_score", 8).doc_ids


def test_interleaved_with_the_top_left_out(inputs: MakeInputs, collection: Collection) -> None:
    for found, lists in fused_and_lists(inputs, collection, depth=4, skip=2, method="interleaved"):
        assert found.doc_ids == interleaved(lists, 6).doc_ids[2:]


@pytest.mark.parametrize("method", ["rrf", "weighted", "interleaved"])
def test_every_miner_has_its_quota(inputs: MakeInputs, collection: Collection, method: str) -> None:
    for found, (bm25, any_) in fused_and_lists(
        inputs, collection, depth=8, method=method, quotas={"any": 5, "bm25": 3}
    ):
        assert len(found.doc_ids) == 8
        assert set(any_.doc_ids[:5]) <= set(found.doc_ids)
        assert sum(doc_id in bm25.doc_ids for doc_id in found.doc_ids) >= 3
        assert (found.scores[1:] <= found.scores[:-1]).all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"miners": [{"kind": "bm25"}]}, "at least 2 items"),
        ({"weights": {"bm25": 2.0}}, "`weights` is a setting of method weighted; this one has method rrf"),
        ({"method": "weighted", "k": 10}, "`k` is a setting of method rrf; this one has method weighted"),
        ({"quotas": {"desne": 3}}, "`quotas` names 'desne', which is no miner here: known: bm25, random"),
        ({"quotas": {"bm25": 101}}, "the quotas add up to 101, more than the depth of 100"),
        ({"quotas": {"bm25": 1}, "skip": 3}, "`quotas` goes with neither `skip` nor `doc_id_pattern`"),
        (
            {"miners": [{"kind": "bm25"}, {"kind": "bm25", "b": 0.0}], "quotas": {"bm25": 1}},
            "`quotas` names 'bm25', and two miners are called so: give them a `name`",
        ),
        ({"method": "weighted", "weights": {"bm25": 0}}, "greater than 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(AnyMiner).validate_python(
            {"kind": "fused", "miners": [{"kind": "bm25"}, {"kind": "random"}], **settings}
        )
    assert told in str(error.value)
