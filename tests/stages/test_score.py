"""The score stage: one column per teacher, each pair scored once, whatever happens in between."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates
from retkd.errors import ModelError, RecipeError, ScaleError
from retkd.matchers.cross_encoder import PairScorer
from retkd.stages.score import Config, run
from retkd.teachers.base import Judgement, require_whole
from retkd.teachers.bi_encoder import BiEncoder
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.imported import Imported
from tests.conftest import MakeInputs, files
from tests.faults import StopError
from tests.tables import teacher_scores
from tests.teachers.rows import everything, lists

CE = CrossEncoderTeacher(model="ce", max_length=64, pairs_per_shard=40)
CONFIG = Config(candidates="mine", teachers={"ce": CE})


@pytest.fixture
def ready(inputs: MakeInputs, mined: Path, encoder_folder: Path, cross_encoder_folder: Path) -> Any:
    """Inputs of the stage; a keyword such as ``store`` replaces one."""

    def make(**changed: Any) -> Any:
        return inputs({"mine": mined}, {"ce": cross_encoder_folder, "base": encoder_folder}, **changed)

    return make


def test_each_teacher_gets_a_column_with_its_scale(ready: Any, mined: Path, tmp_path: Path) -> None:
    teachers = {"ce": CE, "bi": BiEncoder(model="base"), "both": Ensemble(members={"ce": 1.0, "bi": 2.0})}
    metrics = run(Config(candidates="mine", teachers=teachers), ready(), tmp_path / "out")
    for split in ("train", "dev", "test"):
        rows, before = candidates.read(tmp_path / "out" / split), candidates.read(mined / split)
        assert rows.select(before.column_names).equals(before)
        assert [candidates.scale_of(rows, name) for name in teachers] == ["logit", "cosine", "standardised"]
        assert all(rows[column].null_count == 0 for column in candidates.teacher_columns(rows))
    num_rows = sum(candidates.read(mined / split).num_rows for split in ("train", "dev", "test"))
    assert (metrics.rows_in, metrics.rows_out) == (num_rows, num_rows)
    assert metrics.values == {
        "ce": {"scale": "logit", "rows": num_rows},
        "bi": {"scale": "cosine", "rows": num_rows},
        "both": {"scale": "standardised", "rows": num_rows, "weights": {"ce": 0.333333, "bi": 0.666667}},
        "rows_below_depth": 0,
    }
    assert metrics.truncation_rate == {"ce": 0.0, "bi": 0.0}
    assert metrics.timings["ce_new_pairs"] == num_rows


def test_two_teachers_disagree_in_a_file_and_one_does_not(ready: Any, tmp_path: Path) -> None:
    both = Ensemble(members=["ce", "bi"])  # type: ignore[arg-type]
    teachers = {"ce": CE, "bi": BiEncoder(model="base"), "both": both}
    run(Config(candidates="mine", teachers=teachers), ready(), tmp_path / "two")
    told = json.loads((tmp_path / "two" / "disagreement.json").read_text())
    assert set(told) == {"train", "dev", "test"}
    assert [pair["teachers"] for pair in told["dev"]] == [["ce", "bi"]]
    assert -1 <= told["dev"][0]["tau"]["mean"] <= 1
    assert len(told["dev"][0]["pairs"]) == 5
    run(CONFIG, ready(), tmp_path / "one")
    assert not (tmp_path / "one" / "disagreement.json").exists()


def test_a_split_that_a_teacher_leaves_out_has_nulls(ready: Any, mined: Path, tmp_path: Path) -> None:
    rows = candidates.read(mined / "train")
    path = tmp_path / "scores.jsonl"
    lists = [
        {
            "query_id": query_id,
            "query": "",
            "positive_passages": [],
            "negative_passages": [
                {"docid": doc_id, "text": "", "score": float(start + place)}
                for place, doc_id in enumerate(rows["doc_id"].slice(start, stop - start).to_pylist())
            ],
        }
        for query_id, start, stop in candidates.groups(rows)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lists))
    them = Imported(file=str(path), format="tevatron", scale="logit", splits=["train"])
    metrics = run(Config(candidates="mine", teachers={"them": them}), ready(), tmp_path / "out")
    assert candidates.read(tmp_path / "out" / "train")["teacher.them"].to_pylist() == list(
        map(float, range(rows.num_rows))
    )
    dev = candidates.read(tmp_path / "out" / "dev")
    assert dev["teacher.them"].null_count == dev.num_rows
    assert candidates.scale_of(dev, "them") == "logit"
    assert metrics.values["them"] == {"scale": "logit", "rows": rows.num_rows, "pairs_beyond_the_rows": 0}


def test_below_the_depth_only_training_positives_are_scored(ready: Any, mined: Path, tmp_path: Path) -> None:
    depth = {"train": 3, "dev": 2}
    metrics = run(CONFIG.model_copy(update={"depth": depth}), ready(), tmp_path / "out")
    below = 0
    for split in ("train", "dev", "test"):
        rows = candidates.read(tmp_path / "out" / split)
        rank, positive = rows["rank"].to_numpy(), rows["relevance"].fill_null(0).to_numpy() > 0
        wanted = (rank <= depth.get(split, 99)) | (positive & (split == "train"))
        assert np.array_equal(~np.isnan(teacher_scores(rows, "ce")), wanted)
        below += int((~wanted).sum())
    assert metrics.values["rows_below_depth"] == below > 0


def test_twice_gives_the_same_bytes_and_another_length_gives_others(ready: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(CONFIG, ready(store=tmp_path / f"store of {name}"), tmp_path / name)
    assert files(tmp_path / "first") == files(tmp_path / "second")
    shorter = Config(candidates="mine", teachers={"ce": CE.model_copy(update={"max_length": 16})})
    metrics = run(shorter, ready(), tmp_path / "other")
    assert files(tmp_path / "other").keys() == files(tmp_path / "first").keys()
    assert not set(files(tmp_path / "other").values()) & set(files(tmp_path / "first").values())
    assert 0.5 < metrics.truncation_rate["ce"] <= 1.0


def test_stopped_between_shards_it_goes_on_to_the_same_bytes(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CONFIG, ready(store=tmp_path / "undisturbed store"), tmp_path / "undisturbed")
    score, sizes = PairScorer.score_with_cuts, []

    def counted(self: PairScorer, pairs: Sequence[Any], *args: Any) -> Any:
        sizes.append(len(pairs))
        if len(sizes) == 4:
            raise StopError
        return score(self, pairs, *args)

    monkeypatch.setattr(PairScorer, "score_with_cuts", counted)
    with pytest.raises(StopError):
        run(CONFIG, ready(), tmp_path / "out")
    assert files(tmp_path / "out") == {}
    metrics = run(CONFIG, ready(), tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    assert sum(sizes) == metrics.rows_in + 40
    assert max(sizes) == 40


def test_a_deeper_table_costs_its_new_pairs_alone(
    ready: Any, inputs: MakeInputs, cross_encoder_folder: Path, mined: Path, tmp_path: Path
) -> None:
    shallow = tmp_path / "shallow"
    for split in candidates.splits(mined):
        rows = candidates.read(mined / split)
        (shallow / split).mkdir(parents=True)
        candidates.write(rows.filter(rows["rank"].to_numpy() <= 4), shallow / split / "part-00000-of-00001.parquet")
    few = run(CONFIG, inputs({"mine": shallow}, {"ce": cross_encoder_folder}), tmp_path / "few")
    more = run(CONFIG, ready(), tmp_path / "more")
    assert more.timings["ce_new_pairs"] == more.rows_in - few.rows_in
    assert run(CONFIG, ready(), tmp_path / "again").timings["ce_new_pairs"] == 0
    assert files(tmp_path / "again") == files(tmp_path / "more")


def test_a_misspelt_split_of_depth_is_refused(ready: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        run(CONFIG.model_copy(update={"depth": {"tests": 3}}), ready(), tmp_path / "out")
    assert str(error.value) == (
        "the collection has no split 'tests'\n"
        "  where: key depth\n"
        "  seen: tests\n"
        "  allowed: train, dev, test\n"
        "  next step: did you mean 'test'?"
    )


class Broken(BiEncoder):
    """A teacher as a plug-in may be: it spoils what a good one gives."""

    spoil: Any = None

    def judge(self, *given: Any) -> Judgement:
        judged = super().judge(*given)
        return replace(judged, scores={split: self.spoil(scores) for split, scores in judged.scores.items()})


def _nan(scores: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(scores)) == 1, np.float32(np.nan), scores)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda scores: scores[:-1], "the teacher does not give one score for each pair"),
        (lambda scores: scores[:1], "the teacher does not give one score for each pair"),
        (lambda scores: scores[:, None], "the teacher does not give one score for each pair"),
        (_nan, "the teacher gave 1 scores that are not finite"),
    ],
)
def test_a_teacher_that_gives_another_number_of_scores_or_none_is_refused(
    ready: Any, tmp_path: Path, spoil: Any, told: str
) -> None:
    config = Config(candidates="mine", teachers={"ce": CE}).model_copy(
        update={"teachers": {"odd": Broken.model_construct(model="base", spoil=spoil)}}
    )
    with pytest.raises(ModelError) as error:
        run(config, ready(), tmp_path / "out")
    assert error.value.what == told
    assert "teacher odd, split dev" in str(error.value.where)
    assert not (tmp_path / "out" / "dev").exists()


@pytest.mark.parametrize(
    ("scale", "score", "allowed"),
    [
        ("probability", 3.0, "0 to 1"),
        ("probability", -0.5, "0 to 1"),
        ("log_probability", 0.5, "-inf to 0"),
        ("cosine", 1.5, "-1 to 1"),
        ("distribution", -0.5, "0 to inf"),
        ("logit", 3.0, None),
        ("cosine", 1.0001, None),
    ],
)
def test_a_score_that_its_scale_does_not_have_is_refused(scale: Any, score: float, allowed: str | None) -> None:
    """A public file says nothing of its scale: who names the wrong one hears of it, and rounding is none."""
    rows = lists("train", 0, num_queries=1, depth=3)
    judged = Judgement({"train": np.array([0.0, score, 99.0])}, scale, unscored={"train": np.array([0, 0, 1], bool)})
    if allowed is None:
        require_whole("them", [everything("train", rows)], judged)
        return
    with pytest.raises(ScaleError) as error:
        require_whole("them", [everything("train", rows)], judged)
    assert error.value.what == f"1 of 2 scores lie outside of their scale, {scale}"
    assert (error.value.seen, error.value.allowed) == (score, allowed)
