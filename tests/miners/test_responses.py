"""Lists to choose an answer from, and the lists of another stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Collection
from retkd.errors import DataError
from retkd.miners.bm25 import BM25
from retkd.miners.fused import Fused
from retkd.miners.responses import Responses
from retkd.miners.stage_lists import StageLists
from retkd.stages import evaluate, mine, score
from tests.conftest import MakeInputs
from tests.tables import beir, rows_of, written


def mined(miner: Any, inputs: Any, split: str = "test") -> dict[str, Any]:
    queries = inputs.collection.queries(split)
    rankings = miner.mine(queries, inputs, miner.prepare(inputs), split)
    return {query.query_id: ranking for query, ranking in zip(queries, rankings, strict=True)}


def test_every_list_has_its_answer_among_others(inputs: MakeInputs, collection: Collection) -> None:
    found, again, other = (mined(Responses(depth=10, seed=seed), inputs()) for seed in (0, 0, 1))
    qrels = collection.qrels("test")
    places = []
    for query_id, ranking in found.items():
        assert len(set(ranking.doc_ids)) == len(ranking.scores) == 10
        (answer,) = qrels[query_id]
        places.append(ranking.doc_ids.index(answer))
        assert ranking.doc_ids == again[query_id].doc_ids
        assert np.all(np.diff(ranking.scores) < 0)
    assert len(set(places)) > 2, "the place of the answer must not tell it"
    assert any(found[query_id].doc_ids != other[query_id].doc_ids for query_id in found)


def test_several_answers_leave_a_place_for_another_document(inputs: MakeInputs, tmp_path: Path) -> None:
    from tests.conftest import opened

    texts = {f"d{n}": "x" for n in range(6)}
    judged = {"many": dict.fromkeys([f"d{n}" for n in range(5)], 1), "two": {"d0": 1, "d1": 2, "d2": 0}}
    folder = beir(
        tmp_path / "c", texts, {"many": "a", "two": "b", "none": "c"}, {"test": {**judged, "none": {"d0": 0}}}
    )
    found = mined(Responses(depth=4), inputs(collection=opened(folder, tmp_path / "cache")))
    relevant = {q: [judged[q].get(d, 0) > 0 for d in found[q].doc_ids] for q in judged}
    assert (sum(relevant["many"]), len(relevant["many"])) == (3, 4)
    assert (sum(relevant["two"]), len(relevant["two"])) == (2, 4)
    assert found["none"].doc_ids == []
    with pytest.raises(DataError, match=r"smaller than a list of candidates\n(.*\n)*  seen: 6 documents"):
        mined(Responses(depth=7), inputs(collection=opened(folder, tmp_path / "cache")))


@pytest.mark.parametrize("settings", [{"skip": 1}, {"doc_id_pattern": "^d"}, {"language": "de"}])
def test_lists_are_whole(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="responses makes whole lists"):
        Responses(**settings)


def test_response_selection_from_the_lists_to_the_measure(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path
) -> None:
    """mine, score with an encoder, evaluate R10@1: by hand from the scored table."""
    from retkd import candidates

    mine.run(mine.Config(miner=Responses(), splits=["test"]), inputs(), tmp_path / "lists")
    given = inputs({"lists": tmp_path / "lists"}, {"m": encoder_folder})
    teachers = {"student": {"kind": "bi_encoder", "model": "m"}}
    score.run(score.Config(candidates="lists", teachers=teachers), given, tmp_path / "scored")
    config = evaluate.Config(
        systems={"student": {"kind": "rerank", "candidates": "scored", "teacher": "student"}},
        measures=["R10@1", "R10@5", "MRR@10"],
        primary="R10@1",
        depth=10,
        num_resamples=100,
    )
    (tmp_path / "out").mkdir()
    metrics = evaluate.run(config, inputs({"scored": tmp_path / "scored"}), tmp_path / "out")
    rows = candidates.read(tmp_path / "scored" / "test")
    relevant = rows["relevance"].fill_null(0).to_numpy() > 0
    scores = rows["teacher.student"].to_numpy()
    first = [relevant[start:stop][scores[start:stop].argmax()] for _, start, stop in candidates.groups(rows)]
    assert metrics.values["test"]["student"] == pytest.approx(np.mean(first))


def test_the_lists_of_two_stages_are_one(inputs: MakeInputs, tmp_path: Path) -> None:
    one = rows_of({"q24": [("d1", 3.0, None), ("d2", 2.0, None)], "q25": [("d3", 1.0, None)]})
    other = rows_of({"q24": [("d2", 0.5, None), ("d9", 0.75, None)]})
    for name, rows in (("a", one), ("b", other)):
        written(rows, tmp_path / name / "test")
    given = inputs({name: tmp_path / name for name in "ab"})
    alone = mined(StageLists(candidates="a"), given)
    assert alone["q24"].doc_ids == ["d1", "d2"]
    assert alone["q24"].scores.tolist() == [3.0, 2.0]
    assert alone["q26"].doc_ids == []
    assert mined(StageLists(candidates="b"), given)["q24"].scores.tolist() == [1.0, 0.5]
    assert mined(StageLists(candidates="a", depth=1, skip=1), given)["q24"].doc_ids == ["d2"]
    both = Fused(miners=[StageLists(candidates="a", name="a"), StageLists(candidates="b", name="b")])
    found = mined(both, given)["q24"]
    assert found.doc_ids == ["d2", "d1", "d9"]
    assert found.sources == ["a+b", "a", "b"]
    with pytest.raises(DataError) as error:
        mined(StageLists(candidates="a"), given, "dev")
    assert str(error.value) == (
        "the stage 'a' has no candidates of the split 'dev'\n"
        "  where: miner stage, key candidates\n"
        "  seen: test\n"
        "  next step: mine dev there too, or leave it out of this stage's `splits`"
    )


def test_positives_that_no_miner_found_stay_out(inputs: MakeInputs, tmp_path: Path) -> None:
    mine.run(mine.Config(miner=BM25(depth=1), splits=["train"]), inputs(), tmp_path / "a")
    given = inputs({"a": tmp_path / "a"})
    assert {len(ranking.doc_ids) for ranking in mined(StageLists(candidates="a"), given, "train").values()} == {1}
