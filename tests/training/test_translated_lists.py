"""Lists whose documents are read in other languages: scores stay with their ids, texts and batches do not mix them up."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd.batch import Batch
from retkd.collections.translations import Translations
from retkd.encoders.encoder import Encoder
from retkd.losses.languages import translate_distill
from retkd.stages import train
from retkd.training.collator import Collator
from retkd.training.document_languages import DocumentLanguages
from retkd.training.examples import CandidateLists
from retkd.training.query_order import ByLanguage
from retkd.training.translated_lists import TranslatedLists
from tests.conftest import MakeInputs, files
from tests.tables import beir, rows_of, scored, written
from tests.tiny import COMMON, RARE

LANGUAGES = ["xx", "yy"]
DOCUMENTS = [f"d{n}" for n in range(6)]
ROWS = {
    "q0": [("d3", 9.0, 1), ("d0", 8.0, None), ("d5", 7.0, None)],
    "q1": [("d1", 9.0, None), ("d4", 8.0, 1)],
    "q2": [("d2", 9.0, 1), ("d0", 8.0, None), ("d4", 7.0, None), ("d1", 6.0, None)],
}
SCORES = {(q, d): float(10 * int(q[1]) + int(d[1])) for q, ranking in ROWS.items() for d, _, _ in ranking}


def text(language: str, doc_id: str) -> str:
    """Words of its own in each language, and a length of its own for each document."""
    number = int(doc_id[1])
    words = COMMON[:18] if language == "xx" else COMMON[18:]
    return " ".join([RARE[number], *words[number : 2 * number + 2]])


@pytest.fixture
def collection(tmp_path: Path):
    """Documents in two languages, whose files have them in different orders."""
    languages = {}
    for language, order in (("xx", DOCUMENTS), ("yy", DOCUMENTS[::-1])):
        documents = {doc_id: text(language, doc_id) for doc_id in order}
        queries = {query_id: RARE[int(query_id[1])] for query_id in ROWS}
        judged = {"train": {q: {d: r for d, _, r in ranking if r} for q, ranking in ROWS.items()}}
        languages[language] = {
            "collection": {"kind": "beir", "path": beir(tmp_path / language, documents, queries, judged)}
        }
    return Translations(languages=languages, queries="xx", documents=LANGUAGES).open(tmp_path / "cache")


@pytest.fixture
def lists(collection) -> CandidateLists:
    rows = rows_of(ROWS)
    values = [SCORES[pair] for pair in zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True)]
    return CandidateLists(scored(rows, "ce", values), collection, "train", ["ce"])


def told(mix: str) -> DocumentLanguages:
    return DocumentLanguages(languages=LANGUAGES, mix=mix)  # type: ignore[arg-type]


@pytest.mark.parametrize("mix", ["lists", "passages", "all"])
def test_every_text_is_that_of_its_id_and_every_score_too(lists: CandidateLists, mix: str) -> None:
    examples = TranslatedLists(lists, told(mix), seed=1)
    seen = set()
    for example in examples:
        for name, document, score, relevance in zip(
            example.doc_ids, example.documents, example.teachers["ce"], example.relevance, strict=True
        ):
            language, doc_id = name.split("/")
            assert document == text(language, doc_id)
            assert score == SCORES[example.query_id, doc_id]
            assert relevance == {d: r or 0 for d, _, r in ROWS[example.query_id]}[doc_id]
            seen.add((example.query_id, name))
        positive = next(d for d, _, r in ROWS[example.query_id] if r)
        assert example.all_positives == {f"{language}/{positive}" for language in LANGUAGES}
    if mix != "passages":
        assert seen == {(q, f"{language}/{d}") for q, d in SCORES for language in LANGUAGES}
    else:
        assert len(seen) == len(SCORES)


def test_each_list_comes_once_in_each_language(lists: CandidateLists) -> None:
    examples = TranslatedLists(lists, told("lists"), seed=1)
    assert examples.query_ids == [example.query_id for example in examples] == ["q0", "q1", "q2"] * 2
    assert examples.languages == ["xx"] * 3 + ["yy"] * 3
    assert all({name[:2] for name in e.doc_ids} == {own} for e, own in zip(examples, examples.languages, strict=True))
    assert ByLanguage().topics(examples.query_ids, "select", {}, examples.languages).tolist() == [0, 0, 0, 1, 1, 1]


def test_passages_are_drawn_by_the_seed(lists: CandidateLists) -> None:
    drawn = [[e.doc_ids for e in TranslatedLists(lists, told("passages"), seed=seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {name[:2] for ids in drawn[0] for name in ids} == set(LANGUAGES)


def batch_of(lists: CandidateLists, encoder_folder: Path) -> Batch:
    batch: Batch = Collator(Encoder.load(encoder_folder))(list(TranslatedLists(lists, told("all"), seed=1)))["batch"]
    return batch


def test_a_batch_knows_which_candidate_is_which_passage(lists: CandidateLists, encoder_folder: Path) -> None:
    batch = batch_of(lists, encoder_folder)
    assert batch.variants is not None
    assert batch.variant_mask is not None
    assert batch.variants.shape == (3, 2, 4)
    assert batch.variant_mask.tolist() == [[True] * 3 + [False], [True] * 2 + [False] * 2, [True] * 4]
    for q, (query_id, ranking) in enumerate(ROWS.items()):
        for number, language in enumerate(LANGUAGES):
            places = [batch.candidates[q, batch.variants[q, number, p]] for p in range(len(ranking))]
            assert [batch.doc_ids[at] for at in places] == [f"{language}/{d}" for d, _, _ in ranking], query_id
    by_language = batch.by_language(batch.teachers["ce"])[batch.by_language(batch.mask)]
    expected = [SCORES[q, d] for q, ranking in ROWS.items() for _ in LANGUAGES for d, _, _ in ranking]
    assert by_language.tolist() == expected
    assert batch.to("meta").variants.device.type == "meta"  # type: ignore[union-attr]


def test_translate_distill_is_the_mean_of_the_languages(lists: CandidateLists, encoder_folder: Path) -> None:
    from retkd.objectives.language_consistency import LanguageConsistency
    from retkd.objectives.translate_distill import TranslateDistill
    from retkd.training.distillation import DistilledEncoder

    encoder = Encoder.load(encoder_folder)
    terms = [TranslateDistill(teacher="ce", alpha=0.1), LanguageConsistency(weight=0.5)]
    model = DistilledEncoder(encoder, terms).eval()
    found = model(batch_of(lists, encoder_folder))
    alone = []
    for language in LANGUAGES:
        one = DocumentLanguages(languages=[language], mix="lists")
        batch = Collator(encoder)(list(TranslatedLists(lists, one, seed=1)))["batch"]
        assert batch.variants is None
        scores = model.score(batch)
        alone.append(
            translate_distill(scores.own, batch.teachers["ce"], batch.mask, alpha=0.1, student_temperature=0.05).item()
        )
        assert terms[0].loss(scores).item() == pytest.approx(alone[-1], rel=1e-4)
    assert found["translate_distill"].item() == pytest.approx(sum(alone) / 2, rel=1e-4)
    assert found["language_consistency"].item() > 0
    found["loss"].backward()
    assert any(p.grad is not None and torch.any(p.grad != 0) for p in model.encoder.parameters())


SETTINGS: dict[str, Any] = {"candidates": "select", "student": {"kind": "dense", "base": "base"}, "steps": 4}
CE = {"kind": "translate_distill", "teacher": "ce"}


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": [CE, {"kind": "language_consistency"}], "document_languages": told("all")},
        {"objective": [CE], "document_languages": told("lists"), "batches": {"kind": "by_language"}},
        {"objective": [CE, {"kind": "infonce"}], "document_languages": told("passages")},
    ],
    ids=["all", "lists", "passages"],
)
def test_a_student_is_trained_on_languages_that_the_teacher_has_not_read(
    inputs: MakeInputs, collection, encoder_folder: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    rows = rows_of(ROWS)
    values = [SCORES[pair] for pair in zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True)]
    written(scored(rows, "ce", values), tmp_path / "select" / "train")
    given = inputs({"select": tmp_path / "select"}, {"base": encoder_folder}, collection=collection)
    config = train.Config(**SETTINGS, batch_queries=2, **settings)
    metrics = train.run(config, given, tmp_path / "one")
    train.run(config, given, tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert metrics.rows_in == len(SCORES)
    assert metrics.values["queries"] == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"objective": [{"kind": "language_consistency"}]},
            "language_consistency compares languages: give `document_languages",
        ),
        (
            {"objective": [{"kind": "language_consistency"}], "document_languages": told("lists")},
            "language_consistency compares languages",
        ),
        (
            {"objective": [{"kind": "in_batch_kl", "model": "m/m"}], "document_languages": told("lists")},
            "in_batch_kl reads vectors of an encoder, which has read each document in one language",
        ),
        (
            {"objective": [CE, {"kind": "minilm_v2", "model": "m/m"}], "document_languages": told("lists")},
            "minilm_v2 reads layers of an encoder, and was made for texts in one language: it does not go with",
        ),
        ({"objective": [CE], "batches": {"kind": "by_language"}}, "batches by_language need `document_languages"),
        ({"objective": [CE], "document_languages": {"languages": ["xx", "xx"]}}, "a language stands twice"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        train.Config(**SETTINGS, **settings)
