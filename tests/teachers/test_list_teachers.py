"""The uni-encoder, BECA and late interaction as teachers: the right scores, once, through the store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.collections.base import Collection
from retkd.encoders.token_encoder import TokenEncoder
from retkd.matchers.beca import Beca
from retkd.matchers.beca_scorer import BecaScorer
from retkd.matchers.uni_encoder import UniEncoder
from retkd.matchers.uni_scorer import UniScorer
from retkd.teachers.base import Rows, Teacher
from retkd.teachers.beca import BecaTeacher
from retkd.teachers.late_interaction import LateInteraction
from retkd.teachers.uni_encoder import UniEncoderTeacher
from tests.conftest import MakeInputs
from tests.faults import StopError
from tests.tables import pairs
from tests.teachers.rows import everything, lists, two_splits

LENGTHS: dict[str, int] = {"max_length": 48, "query_max_length": 16}


@pytest.fixture
def folders(encoder_folder: Path, tmp_path: Path) -> dict[str, Path]:
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    found = {"late": encoder_folder}
    for name in ("blocked", "arrow", "beca"):
        model: Any = Beca.load(encoder_folder) if name == "beca" else UniEncoder.load(encoder_folder)
        if name != "beca":
            model.mask, model.candidates_per_pass = name, 3
            model.weight.data.normal_()
        model.save_pretrained(str(tmp_path / name))
        AutoTokenizer.from_pretrained(encoder_folder).save_pretrained(tmp_path / name)
        found[name] = tmp_path / name
    return found


TEACHERS: dict[str, Teacher] = {
    "blocked": UniEncoderTeacher(model="m", pairs_per_shard=7, **LENGTHS),
    "arrow": UniEncoderTeacher(model="m", pairs_per_shard=7, **LENGTHS),
    "beca": BecaTeacher(model="m", pairs_per_shard=7, **LENGTHS),
    "late": LateInteraction(model="m", pairs_per_shard=7),
}


def expected(name: str, folder: Path, collection: Collection, rows: Rows) -> np.ndarray:
    """Query by query, by the model called directly."""
    queries = {q.query_id: q.text for q in collection.queries(rows.split)}
    chosen = [pairs(rows.table)[i] for i in rows.chosen]
    scores = []
    for query_id in dict.fromkeys(q for q, _ in chosen):
        documents = [d.full_text for d in collection.documents_by_id([d for q, d in chosen if q == query_id])]
        own = [(queries[query_id], text) for text in documents]
        if name == "late":
            scores.append(TokenEncoder.load(folder, "cpu").score_with_cuts(own)[0])
        else:
            kind: Any = BecaScorer if name == "beca" else UniScorer
            scores.append(kind.load(folder, "cpu", **LENGTHS).score(own))
    return np.concatenate(scores)


@pytest.mark.parametrize("name", TEACHERS)
def test_every_chosen_row_gets_the_score_of_its_own_texts(
    inputs: MakeInputs, collection: Collection, folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """Shards of seven pairs end inside lists, passes and documents."""
    train, dev = two_splits()
    splits = [replace(train, chosen=np.array([0, 1, 2, 3, 5, 9, 20, 21])), dev]
    judged = TEACHERS[name].judge("t", splits, inputs(models={"m": folders[name]}), tmp_path / "work")
    assert judged.scale == ("unbounded" if name == "late" else "logit")
    assert judged.num_new == 8 + dev.table.num_rows
    for rows in splits:
        assert judged.scores[rows.split] == pytest.approx(expected(name, folders[name], collection, rows), abs=1e-4)


@pytest.mark.parametrize("name", ["blocked", "beca", "late"])
def test_a_longer_list_costs_its_new_pairs(
    inputs: MakeInputs, folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    ready = inputs(models={"m": folders[name]})
    first = TEACHERS[name].judge("t", [everything("train", lists("train", 0, depth=3))], ready, tmp_path / "first")
    second = TEACHERS[name].judge("t", [everything("train", lists("train", 0, depth=5))], ready, tmp_path / "second")
    assert (first.num_new, second.num_new) == (9, 6)
    old = [i for i in range(15) if i % 5 < 3]
    assert np.array_equal(second.scores["train"][old], first.scores["train"])


def test_with_the_arrow_mask_a_score_is_known_by_its_pass(
    inputs: MakeInputs, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Passes of three: the first of a list of five is that of a list of three; the second, of two, is new."""
    ready, teacher = inputs(models={"m": folders["arrow"]}), TEACHERS["arrow"]
    three = teacher.judge("t", [everything("train", lists("train", 0, depth=3))], ready, tmp_path / "three")
    five = teacher.judge("t", [everything("train", lists("train", 0, depth=5))], ready, tmp_path / "five")
    four = teacher.judge("t", [everything("train", lists("train", 0, depth=4))], ready, tmp_path / "four")
    assert (three.num_new, five.num_new, four.num_new) == (9, 6, 3)
    fourth = five.scores["train"][3::5], four.scores["train"][3::4]
    assert np.abs(fourth[0] - fourth[1]).max() > 1e-4


@pytest.mark.parametrize("name", TEACHERS)
def test_killed_and_run_again_it_gives_the_same_scores(
    inputs: MakeInputs, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import retkd.pair_scores

    rows = [everything("train", lists("train", 0))]
    whole = TEACHERS[name].judge("t", rows, inputs(models={"m": folders[name]}), tmp_path / "whole")
    ready = inputs(models={"m": folders[name]}, store=tmp_path / "other")
    write, count = retkd.pair_scores._write_shard, 0

    def stopping(*args: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise StopError
        write(*args)

    with monkeypatch.context() as patch:
        patch.setattr(retkd.pair_scores, "_write_shard", stopping)
        with pytest.raises(StopError):
            TEACHERS[name].judge("t", rows, ready, tmp_path / "work")
    resumed = TEACHERS[name].judge("t", rows, ready, tmp_path / "work")
    assert np.array_equal(resumed.scores["train"], whole.scores["train"])
