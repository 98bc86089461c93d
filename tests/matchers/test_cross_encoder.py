"""A cross-encoder's scores equal those of sentence-transformers; long queries are cut, and it is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.errors import ModelError
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.labels import LabelOdds
from retkd.matchers.templates import PairTemplate
from tests.tiny import WORDS, tiny_cross_encoder

LONG = " ".join(WORDS[:200])
PAIRS = [
    ("baco difun", "gale lemi nopa"),
    ("", "gale"),
    ("baco", ""),
    *((WORDS[i], " ".join(WORDS[i : 2 * i])) for i in range(1, 30)),
    (" ".join(WORDS[40:50]), " ".join(WORDS[:60])),
]


@pytest.fixture(scope="module")
def scorer(cross_encoder_folder: Path) -> PairScorer:
    return PairScorer.load(cross_encoder_folder, "cpu", max_length=96, query_max_length=32)


@pytest.mark.parametrize("tokens_per_batch", [1, 300, 10**6])
def test_the_raw_scores_of_sentence_transformers(
    scorer: PairScorer, cross_encoder_folder: Path, tokens_per_batch: int
) -> None:
    from sentence_transformers import CrossEncoder

    peer = CrossEncoder(str(cross_encoder_folder), device="cpu", max_length=96)
    expected = peer.predict(PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    found = scorer.score(PAIRS, tokens_per_batch)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 0.1


def test_only_the_document_is_cut_where_the_query_is_short_enough(
    scorer: PairScorer, cross_encoder_folder: Path
) -> None:
    from sentence_transformers import CrossEncoder

    pairs = [("baco difun", LONG), ("gale", LONG)]
    peer = CrossEncoder(str(cross_encoder_folder), device="cpu", max_length=96)
    expected = peer.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    found, cut = scorer.score_with_cuts(pairs)
    assert found == pytest.approx(expected, abs=1e-4)
    assert cut.tolist() == [True, True]


def test_a_query_longer_than_the_whole_length_is_cut_and_counted(scorer: PairScorer) -> None:
    """To 32 tokens; the document keeps the rest. What lies beyond changes nothing."""
    query = " ".join(WORDS[:120])
    columns, cut = scorer.tokenize([(query, LONG), (query, "gale"), ("baco", "gale")])
    lengths = [len(row) for row in columns["input_ids"]]
    assert lengths == [96, 3 + 32 + 1, 3 + 1 + 1]
    assert cut.tolist() == [True, True, False]
    separator = scorer.tokenizer.sep_token_id
    assert [row.index(separator) for row in columns["input_ids"]] == [33, 33, 2]
    kept = " ".join(WORDS[:32])
    assert scorer.score([(query, "gale")]) == pytest.approx(scorer.score([(kept, "gale")]), abs=1e-6)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_pair_that_just_fits_is_not_counted_as_cut(scorer: PairScorer, extra: int) -> None:
    document = " ".join(WORDS[: 96 - 3 - 2 + extra])
    columns, cut = scorer.tokenize([("baco difun", document)])
    assert len(columns["input_ids"][0]) == 96
    assert cut.tolist() == [bool(extra)]


def test_the_length_of_a_pair_is_known_before_it_is_tokenised(scorer: PairScorer) -> None:
    pairs = [*PAIRS, (LONG, LONG), (LONG, "gale"), ("gale", LONG)]
    columns, _ = scorer.tokenize(pairs)
    counts = [scorer.counts(pair) for pair in pairs]
    assert [scorer.pair_length(*count) for count in counts] == [len(row) for row in columns["input_ids"]]


def test_lengths_are_held_within_what_the_model_can_read(cross_encoder_folder: Path) -> None:
    scorer = PairScorer.load(cross_encoder_folder, "cpu", max_length=500, query_max_length=400)
    assert (scorer.max_length, scorer.query_max_length) == (96, 96 - 3 - 1)
    assert np.isfinite(scorer.score([(LONG, LONG)])).all()


def with_labels(folder: Path, id2label: dict[int, str]) -> tuple[Path, Any]:
    """A tiny cross-encoder with these labels: (folder, model)."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(tiny_cross_encoder(folder), num_labels=len(id2label), id2label=id2label)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(folder)
    return folder, model


def test_of_two_labels_the_difference_is_the_score(tmp_path: Path) -> None:
    folder, model = with_labels(tmp_path / "two", {0: "LABEL_0", 1: "LABEL_1"})
    scorer = PairScorer.load(folder, "cpu", 96, 32)
    with torch.no_grad():
        logits = model(**scorer.tokenizer(*PAIRS[0], return_tensors="pt")).logits[0]
    assert scorer.score(PAIRS[:1])[0] == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)


def test_a_chosen_label_of_an_nli_model_is_the_score(tmp_path: Path) -> None:
    folder, model = with_labels(tmp_path / "nli", {0: "contradiction", 1: "entailment", 2: "neutral"})
    scorer = PairScorer.load(folder, "cpu", 96, 32, labels=LabelOdds(positive="entailment"))
    with torch.no_grad():
        chance = model(**scorer.tokenizer(*PAIRS[0], return_tensors="pt")).logits[0].softmax(dim=0)[1]
    assert scorer.score(PAIRS[:1])[0] == pytest.approx(torch.logit(chance).item(), abs=1e-5)
    with pytest.raises(ModelError, match="does not say which of the model's labels is the score") as error:
        PairScorer.load(folder, "cpu", 96, 32)
    assert f"where: {folder}" in str(error.value)


AROUND = PairTemplate(query="baco {query} difun", document="gale {document} lemi nono")


def test_a_template_is_written_before_the_pair_is_tokenised(scorer: PairScorer, cross_encoder_folder: Path) -> None:
    found = PairScorer.load(cross_encoder_folder, "cpu", 96, 32, template=AROUND)
    written = [(f"baco {query} difun", f"gale {document} lemi nono") for query, document in PAIRS[:-1]]
    assert found.score(PAIRS[:-1]).tobytes() == scorer.score(written).tobytes()
    counts = [found.counts(pair) for pair in PAIRS[:-1]]
    lengths = [len(row) for row in found.tokenize(PAIRS[:-1])[0]["input_ids"]]
    assert [found.pair_length(*count) for count in counts] == lengths


def test_a_template_is_never_cut(cross_encoder_folder: Path) -> None:
    """The query is cut to 32 tokens of its own; the document gives way to what is written after it."""
    found = PairScorer.load(cross_encoder_folder, "cpu", 96, 32, template=AROUND)
    columns, cut = found.tokenize([(LONG, LONG), (" ".join(WORDS[:32]), " ".join(WORDS[:56]))])
    written = [found.tokenizer.decode(row) for row in columns["input_ids"]]
    query, document = f"baco {' '.join(WORDS[:32])} difun", f"gale {' '.join(WORDS[:56])} lemi nono"
    assert [len(row) for row in columns["input_ids"]] == [96, 96]
    assert written == [f"[CLS] {query} [SEP] {document} [SEP]"] * 2
    assert cut.tolist() == [True, False]


def test_one_score_a_pair_or_none(tmp_path: Path) -> None:
    """A model that labels every token, read as if it labelled the pair."""
    scorer = PairScorer.load(tiny_cross_encoder(tmp_path / "model"), "cpu", 96, 32)
    scorer.model.bert.pooler.forward = lambda states: states
    with pytest.raises(ModelError) as error:
        scorer.score(PAIRS[:2], 10**6)
    assert "the teacher does not give one score for each pair\n  where: BertForSequenceClassification\n" in str(
        error.value
    )
    assert "for 2 pairs\n  allowed: (2,)" in str(error.value)


def test_a_score_that_is_not_finite(tmp_path: Path) -> None:
    scorer = PairScorer.load(tiny_cross_encoder(tmp_path / "broken"), "cpu", 96, 32)
    with torch.no_grad():
        scorer.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError) as error:
        scorer.score([("baco", "gale"), ("difun", "lemi")])
    assert str(error.value) == (
        "the teacher gave 2 scores that are not finite\n"
        "  where: query 'baco', document 'gale'\n"
        "  seen: nan\n"
        "  next step: score in fp32 (precision: fp32), or look at the model's weights"
    )


def test_forward_has_a_gradient_where_it_is_on(scorer: PairScorer) -> None:
    columns, _ = scorer.tokenize(PAIRS[:2])
    assert scorer.forward(columns).requires_grad
