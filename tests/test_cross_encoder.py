"""A cross-encoder's scores equal those of sentence-transformers; long queries are cut, and it is counted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.cross_encoder import PairScorer, raw_scores
from retkd.errors import ModelError
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


def test_of_two_labels_the_difference_is_the_score(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tiny_cross_encoder(tmp_path / "two")
    config = AutoConfig.from_pretrained(folder, num_labels=2)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.save_pretrained(folder)
    scorer = PairScorer.load(folder, "cpu", 96, 32)
    with torch.no_grad():
        logits = model(**scorer.tokenizer(*PAIRS[0], return_tensors="pt")).logits[0]
    assert scorer.score(PAIRS[:1])[0] == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)
    assert raw_scores(torch.tensor([[1.0, 4.0], [2.0, 0.0]])).tolist() == [3.0, -2.0]
    assert raw_scores(torch.tensor([[1.5], [2.0]])).tolist() == [1.5, 2.0]


def test_three_labels_are_no_score(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tiny_cross_encoder(tmp_path / "three")
    AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder, num_labels=3)).save_pretrained(
        folder
    )
    with pytest.raises(ModelError) as error:
        PairScorer.load(folder, "cpu", 96, 32)
    assert str(error.value) == (
        "a cross-encoder teacher gives one score, or two labels whose difference is the score\n"
        f"  where: {folder}\n"
        "  seen: 3 labels\n"
        "  allowed: 1 or 2\n"
        "  next step: choose a re-ranker, or train one with a stage of kind teach"
    )


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
