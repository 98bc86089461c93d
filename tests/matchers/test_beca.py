"""BECA: the matcher by hand, masks, and the same scores one by one and all at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from retkd.errors import ModelError
from retkd.matchers.beca import Beca, enhanced, masked_max
from retkd.matchers.beca_scorer import BecaScorer
from retkd.training.collator import Collator
from tests.distilling import examples
from tests.tiny import WORDS

PAIRS = [
    (" ".join(WORDS[:3]), " ".join(WORDS[10:30])),
    (WORDS[7], " ".join(WORDS[3:9])),
    (WORDS[7], " ".join(WORDS[10:30])),
    ("", "gale"),
    (WORDS[1], ""),
]


@pytest.fixture
def scorer(encoder_folder: Path) -> BecaScorer:
    from transformers import AutoTokenizer

    torch.manual_seed(0)
    return BecaScorer(Beca.load(encoder_folder).eval(), AutoTokenizer.from_pretrained(encoder_folder), 24, 8)


def test_the_enhancement_by_hand() -> None:
    x, y = torch.tensor([2.0, -1.0]), torch.tensor([5.0, 3.0])
    assert enhanced(x, y).tolist() == [2, -1, 5, 3, -3, -4, 10, -3, 9, 16]


def test_padding_never_is_the_maximum() -> None:
    """All real values are below zero: zeros in the place of padding would win."""
    states = torch.tensor([[[-3.0], [-2.0], [0.0]]])
    assert masked_max(states, torch.tensor([[True, True, False]])).tolist() == [[-2.0]]


def test_the_score_of_one_pair_by_hand(scorer: BecaScorer) -> None:
    """Token by token, with loops."""
    model = scorer.model
    generator = torch.Generator().manual_seed(1)
    q, d = (torch.randn(length, 32, generator=generator) for length in (3, 4))
    attention = [[float(a @ b) / 32**0.5 for b in d] for a in q]

    def counterparts(rows: list[list[float]], of: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.tensor(row).softmax(0) @ of for row in rows])

    def pooled(states: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        tokens = [torch.relu(model.compose(enhanced(x, y))) for x, y in zip(states, others, strict=True)]
        return torch.cat([tokens[0], torch.stack(tokens).mean(0), torch.stack(tokens).amax(0)])

    left = pooled(q, counterparts(attention, d))
    right = pooled(d, counterparts([list(column) for column in zip(*attention, strict=True)], q))
    expected = model.judge(enhanced(left, right)).item()
    one, two = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
    assert model.match(q[None], one, d[None], two).item() == pytest.approx(expected, abs=1e-5)
    junk = torch.full((1, 2, 32), 1e3)
    wide = model.match(
        torch.cat([q[None], junk], dim=1),
        nn.functional.pad(one, (0, 2), value=False),
        torch.cat([d[None], junk], dim=1),
        nn.functional.pad(two, (0, 2), value=False),
    )
    assert wide.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("tokens_per_batch", [1, 50, 10**6])
def test_scores_are_those_of_pairs_alone_in_their_order(scorer: BecaScorer, tokens_per_batch: int) -> None:
    alone = np.concatenate([scorer.score([pair]) for pair in PAIRS])
    assert scorer.score(PAIRS, tokens_per_batch) == pytest.approx(alone, abs=1e-5)
    order = [3, 1, 4, 0, 2]
    assert scorer.score([PAIRS[i] for i in order]) == pytest.approx(alone[order], abs=1e-5)
    assert np.ptp(alone) > 1e-3


def test_each_text_is_encoded_once(scorer: BecaScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    states = scorer.model.states

    def counted(features: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(len(features["input_ids"]))
        return states(features)

    monkeypatch.setattr(scorer.model, "states", counted)
    scorer.score(PAIRS)
    assert sum(seen) == 4 + 4


def test_a_training_batch_has_the_scores_of_scoring(scorer: BecaScorer) -> None:
    lists = examples(num_queries=6)
    batch = Collator(scorer)(lists)["batch"]
    with torch.no_grad():
        own, every = scorer.scored(batch, in_batch=False), scorer.scored(batch, in_batch=True)
    texts = {doc_id: text for e in lists for doc_id, text in zip(e.doc_ids, e.documents, strict=True)}
    for q, example in enumerate(lists):
        expected = scorer.score([(example.query, text) for text in example.documents])
        assert own.own[q, : len(expected)].tolist() == pytest.approx(expected, abs=1e-5)
        assert every.own[q, : len(expected)].tolist() == pytest.approx(expected, abs=1e-5)
        whole = scorer.score([(example.query, texts[doc_id]) for doc_id in batch.doc_ids])
        assert every.in_batch[q].tolist() == pytest.approx(whole, abs=1e-5)
    assert own.in_batch.shape == (6, 0)


def test_a_cut_is_told(scorer: BecaScorer) -> None:
    long = " ".join(WORDS[:100])
    _, cut = scorer.score_with_cuts([(WORDS[0], WORDS[1]), (long, WORDS[1]), (WORDS[0], long)])
    assert cut.tolist() == [False, True, True]
    assert [len(row) for row in scorer.tokenize([long], "query")["input_ids"]] == [8]
    assert [len(row) for row in scorer.tokenize([long], "document")["input_ids"]] == [24]


def test_a_saved_model_gives_the_same_scores(scorer: BecaScorer, encoder_folder: Path, tmp_path: Path) -> None:
    scorer.model.save_pretrained(str(tmp_path))
    scorer.tokenizer.save_pretrained(str(tmp_path))
    loaded = BecaScorer.load(tmp_path, "cpu", 24, 8)
    assert not loaded.model.training
    assert loaded.score(PAIRS) == pytest.approx(scorer.score(PAIRS), abs=1e-6)
    with pytest.raises(ModelError) as error:
        BecaScorer.load(encoder_folder, "cpu", 24, 8)
    assert str(error.value) == (
        "this folder holds no BECA\n"
        f"  where: {encoder_folder}\n"
        "  allowed: a folder with beca_head.safetensors\n"
        "  next step: train one with a stage of kind teach and `head: beca`"
    )
