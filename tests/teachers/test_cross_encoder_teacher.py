"""The cross-encoder teacher: raw logits of the right pairs, each scored once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from transformers import BertForSequenceClassification

from retkd.collections.base import Collection
from retkd.errors import DataError, ModelError
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.labels import LabelOdds
from retkd.matchers.templates import PairTemplate
from retkd.pair_scores import teacher_address
from retkd.teachers.base import Rows
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from tests.conftest import MakeInputs
from tests.tables import pairs
from tests.teachers.rows import everything, lists, two_splits
from tests.tiny import tiny_cross_encoder

TEACHER = CrossEncoderTeacher(model="ce", max_length=48, query_max_length=16, pairs_per_shard=7)


def expected(folder: Path, collection: Collection, rows: Rows) -> np.ndarray:
    queries = {q.query_id: q.text for q in collection.queries(rows.split)}
    chosen = [pairs(rows.table)[i] for i in rows.chosen]
    documents = [d.full_text for d in collection.documents_by_id([d for _, d in chosen])]
    scorer = PairScorer.load(folder, "cpu", 48, 16)
    return np.array([scorer.score([(queries[q], text)])[0] for (q, _), text in zip(chosen, documents, strict=True)])


def test_every_chosen_row_gets_the_logit_of_its_own_texts(
    inputs: MakeInputs, collection: Collection, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    train, dev = two_splits()
    splits = [replace(train, chosen=np.array([20, 3, 4])), dev]
    judged = TEACHER.judge("ce", splits, inputs(models={"ce": cross_encoder_folder}), tmp_path / "work")
    assert judged.scale == "logit"
    assert judged.num_new == 3 + dev.table.num_rows
    assert list(judged.scores) == ["train", "dev"]
    for rows in splits:
        assert judged.scores[rows.split] == pytest.approx(expected(cross_encoder_folder, collection, rows), abs=1e-5)
        assert judged.scores[rows.split].dtype == np.float32


def test_a_second_call_scores_only_what_is_new(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    ready = inputs(models={"ce": cross_encoder_folder})
    few = [everything("train", lists("train", 0, depth=3))]
    more = [everything("train", lists("train", 0, depth=5))]
    first = TEACHER.judge("ce", few, ready, tmp_path / "first")
    second = TEACHER.judge("ce", more, ready, tmp_path / "second")
    third = TEACHER.judge("other name", more, ready, tmp_path / "third")
    assert (first.num_new, second.num_new, third.num_new) == (9, 6, 0)
    old = [i for i in range(15) if i % 5 < 3]
    assert np.array_equal(second.scores["train"][old], first.scores["train"])
    assert np.array_equal(third.scores["train"], second.scores["train"])


CHANGES: list[dict[str, object]] = [
    {"max_length": 47},
    {"query_max_length": 15},
    {"precision": "bf16"},
    {"attention": "sdpa"},
    {"template": PairTemplate(query="baco {query}")},
    {"long_documents": "max_passages", "passage_tokens": 8, "passage_stride": 4},
    {"backend": "onnx"},
    {"backend": "onnx", "quantise": "int8"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_setting_is_another_teacher(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    ready, rows = inputs(models={"ce": cross_encoder_folder}), [everything("train", lists("train", 0))]
    TEACHER.judge("ce", rows, ready, tmp_path / "first")
    other = TEACHER.model_copy(update=change)
    assert other.judge("ce", rows, ready, tmp_path / "second").num_new == 24


def test_each_setting_has_an_address_and_a_default_adds_nothing(inputs: MakeInputs, cross_encoder_folder: Path) -> None:
    """Scores made before a field existed stay where they are: the address of the defaults is that of four settings."""
    model = inputs(models={"ce": cross_encoder_folder}).models["ce"]
    settings: dict[str, object] = {
        "kind": "cross_encoder",
        "max_length": 48,
        "query_max_length": 16,
        "precision": "fp32",
    }
    assert TEACHER.address(model) == teacher_address(model.digest, settings)
    others = [TEACHER.model_copy(update=change).address(model) for change in CHANGES]
    passages = [
        TEACHER.model_copy(update={"long_documents": "max_passages", "passage_tokens": 20, field: value})
        for field, value in (("passage_tokens", 21), ("passage_stride", 7), ("max_passages", 2))
    ]
    labels = [TEACHER.model_copy(update={"labels": each}) for each in ("difference", LabelOdds(positive=1))]
    others += [teacher.address(model) for teacher in passages + labels]
    assert len({TEACHER.address(model), *others}) == 1 + len(others)
    same = {"pairs_per_shard": 9, "passage_stride": 3, "template": PairTemplate()}
    assert TEACHER.model_copy(update=same).address(model) == TEACHER.address(model)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"quantise": "int8"}, "quantise: int8 needs backend: onnx or openvino"),
        ({"backend": "onnx", "precision": "bf16"}, "backend: onnx computes in fp32: leave precision and attention out"),
        ({"passage_tokens": 8, "passage_stride": 9}, "passage_stride exceeds passage_tokens"),
        ({"labels": {"positive": True}}, "labels"),
        ({"template": {"query": "x"}}, "template.query must hold {query} once"),
    ],
)
def test_settings_that_do_not_fit_together(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as error:
        CrossEncoderTeacher(model="ce", **fields)
    assert told in str(error.value)


def test_only_new_pairs_are_run_through_the_model_and_no_other_teacher_again(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted where it costs: rows of the tensors that reach the model."""
    forwarded: list[int] = []
    forward = BertForSequenceClassification.forward

    def counted(self: Any, *args: Any, **features: Any) -> Any:
        forwarded.append(len(features["input_ids"]))
        return forward(self, *args, **features)

    monkeypatch.setattr(BertForSequenceClassification, "forward", counted)
    ready = inputs(models={"ce": cross_encoder_folder, "other": tiny_cross_encoder(tmp_path / "other", seed=1)})
    other = TEACHER.model_copy(update={"model": "other"})

    def rows_forwarded(teacher: CrossEncoderTeacher, depth: int) -> int:
        forwarded.clear()
        rows = [everything("train", lists("train", 0, depth=depth))]
        teacher.judge("name", rows, ready, tmp_path / f"work {len(list(tmp_path.iterdir()))}")
        return sum(forwarded)

    assert rows_forwarded(TEACHER, 3) == 9
    assert rows_forwarded(TEACHER, 5) == 6
    assert rows_forwarded(other, 5) == 15
    assert rows_forwarded(TEACHER, 5) == 0
    assert rows_forwarded(other, 4) == 0


def test_a_run_that_dies_in_a_shard_loses_that_shard_alone(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, score, sizes = [everything("train", lists("train", 0))], PairScorer.score_with_cuts, []

    def counted(self: PairScorer, pairs: Any, *args: Any) -> Any:
        sizes.append(len(pairs))
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return score(self, pairs, *args)

    monkeypatch.setattr(PairScorer, "score_with_cuts", counted)
    ready = inputs(models={"ce": cross_encoder_folder})
    with pytest.raises(KeyboardInterrupt):
        TEACHER.judge("ce", rows, ready, tmp_path / "work")
    TEACHER.judge("ce", rows, ready, tmp_path / "work")
    assert sizes == [7, 7, 7, 7, 3]


def test_a_score_that_is_not_finite_is_not_stored(inputs: MakeInputs, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_cross_encoder(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    ready = inputs(models={"ce": folder})
    with pytest.raises(ModelError, match="the teacher gave 7 scores that are not finite"):
        TEACHER.judge("ce", [everything("train", lists("train", 0))], ready, tmp_path / "work")
    assert list((ready.store / "scores").rglob("part-*")) == []


def test_the_expected_grade_says_its_scale(inputs: MakeInputs, tmp_path: Path) -> None:
    from transformers import AutoConfig

    folder = tiny_cross_encoder(tmp_path / "graded")
    names = {number: str(number) for number in range(4)}
    config = AutoConfig.from_pretrained(folder, num_labels=4, id2label=names, initializer_range=1.0)
    BertForSequenceClassification(config).save_pretrained(folder)
    graded = TEACHER.model_copy(update={"labels": "expected_grade"})
    judged = graded.judge(
        "ce", [everything("train", lists("train", 0))], inputs(models={"ce": folder}), tmp_path / "work"
    )
    assert judged.scale == "unbounded"
    assert ((judged.scores["train"] > 0) & (judged.scores["train"] < 3)).all()


def test_long_documents_by_their_best_passage(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    """Passages of 8 of the 5 to 20 tokens of these documents; a long enough passage changes no bit."""
    rows, ready = [everything("train", lists("train", 0))], inputs(models={"ce": cross_encoder_folder})
    first = TEACHER.judge("ce", rows, ready, tmp_path / "first")
    passages = {"long_documents": "max_passages", "passage_tokens": 8, "passage_stride": 4}
    cut = TEACHER.model_copy(update=passages).judge("ce", rows, ready, tmp_path / "passages")
    whole = TEACHER.model_copy(update=passages | {"passage_tokens": 29}).judge("ce", rows, ready, tmp_path / "whole")
    assert whole.scores["train"].tobytes() == first.scores["train"].tobytes()
    assert not np.array_equal(cut.scores["train"], first.scores["train"])
    assert cut.truncation_rate == 0.0
    two = TEACHER.model_copy(update=passages | {"max_passages": 1}).judge("ce", rows, ready, tmp_path / "one")
    assert 0 < two.truncation_rate <= 1


@pytest.mark.parametrize("quantise", ["none", "int8"])
def test_the_graph_is_made_once_and_scores_like_the_model(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, quantise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retkd.matchers import pair_graph

    rows, ready = [everything("train", lists("train", 0))], inputs(models={"ce": cross_encoder_folder})
    expected = TEACHER.judge("ce", rows, ready, tmp_path / "torch").scores["train"]
    graph = TEACHER.model_copy(update={"backend": "onnx", "quantise": quantise})
    found = graph.judge("ce", rows, ready, tmp_path / "graph").scores["train"]
    assert found == pytest.approx(expected, abs=1e-4 if quantise == "none" else 0.2)
    assert not np.array_equal(found, expected)
    monkeypatch.setattr(pair_graph, "write_graph", None)
    more = [everything("train", lists("train", 0, depth=9))]
    assert graph.judge("ce", more, ready, tmp_path / "again").num_new == 3


def test_a_graph_does_not_run_on_another_device(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    ready = inputs(models={"ce": cross_encoder_folder})
    ready = replace(ready, runtime=ready.runtime.model_copy(update={"device": "cuda"}))
    with pytest.raises(ModelError) as error:
        TEACHER.model_copy(update={"backend": "onnx"}).judge(
            "ce", [everything("train", lists("train", 0))], ready, tmp_path / "work"
        )
    assert str(error.value) == (
        "backend: onnx runs on the CPU\n"
        "  where: runtime.device\n"
        "  seen: cuda\n"
        "  allowed: auto, cpu\n"
        "  next step: set runtime.device: auto, or backend: torch"
    )


def test_a_compiled_teacher_gives_the_same_scores(
    inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By torch's eager compiler, which traces as the default one does and needs no C++ compiler."""
    import torch

    rows, compiled = [everything("train", lists("train", 0))], []
    compile_ = torch.nn.Module.compile

    def eager(self: Any, **options: Any) -> None:
        compiled.append(options)
        compile_(self, backend="eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", eager)
    plain = TEACHER.judge("ce", rows, inputs(models={"ce": cross_encoder_folder}), tmp_path / "plain")
    fast = inputs(models={"ce": cross_encoder_folder}, store=tmp_path / "other store", compile=True)
    found = TEACHER.judge("ce", rows, fast, tmp_path / "fast")
    assert compiled == [{"dynamic": True}]
    assert found.scores["train"] == pytest.approx(plain.scores["train"], abs=1e-5)


def test_other_weights_are_another_teacher(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    rows = [everything("train", lists("train", 0))]
    other_folder = tiny_cross_encoder(tmp_path / "other", seed=1)
    first = TEACHER.judge("ce", rows, inputs(models={"ce": cross_encoder_folder}), tmp_path / "first")
    other = TEACHER.judge("ce", rows, inputs(models={"ce": other_folder}), tmp_path / "second")
    assert other.num_new == 24
    assert not np.allclose(other.scores["train"], first.scores["train"])


def test_the_truncation_rate_is_the_share_of_rows_that_were_cut(
    inputs: MakeInputs, collection: Collection, cross_encoder_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    rows = everything("train", lists("train", 0))
    queries = {q.query_id: q.text for q in collection.queries("train")}
    texts = [next(iter(collection.documents_by_id([d]))).full_text for _, d in pairs(rows.table)]
    tokenizer = AutoTokenizer.from_pretrained(cross_encoder_folder)
    lengths = [
        len(tokenizer(queries[q], text)["input_ids"]) for (q, _), text in zip(pairs(rows.table), texts, strict=True)
    ]
    limit = sorted(lengths)[15]
    teacher = TEACHER.model_copy(update={"max_length": limit})
    judged = teacher.judge("ce", [rows], inputs(models={"ce": cross_encoder_folder}), tmp_path / "work")
    cut = np.mean([length > limit for length in lengths])
    assert 0 < cut < 1
    assert judged.truncation_rate == pytest.approx(cut)


def test_rows_of_another_collection_are_refused(inputs: MakeInputs, cross_encoder_folder: Path, tmp_path: Path) -> None:
    """The queries of train are not those of dev: a row that names one is an error, never an empty string."""
    with pytest.raises(DataError) as error:
        TEACHER.judge(
            "ce",
            [everything("dev", lists("train", 0))],
            inputs(models={"ce": cross_encoder_folder}),
            tmp_path / "work",
        )
    assert str(error.value) == (
        "the candidates table names queries that the collection does not have\n"
        "  where: split dev\n"
        "  seen: 3, such as 'q0'\n"
        "  next step: run the mine stage again on this collection"
    )
