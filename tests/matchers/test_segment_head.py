"""The head that compares the two texts' mean vectors."""

from pathlib import Path

import numpy as np
import torch

from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.segment_head import INITIAL_SCALE, SegmentCrossEncoder, mean_of
from tests.tiny import WORDS, tiny_encoder

PAIRS = [(" ".join(WORDS[:3]), " ".join(WORDS[3:9])), (WORDS[7], " ".join(WORDS[10:30])), (WORDS[1], WORDS[1])]


def scorer(folder: Path) -> PairScorer:
    """A new head on a tiny encoder."""
    from transformers import AutoTokenizer

    return PairScorer(SegmentCrossEncoder.load(folder).eval(), AutoTokenizer.from_pretrained(str(folder)), 64, 16)


def test_a_new_head_is_the_scaled_cosine_of_the_two_segments(tmp_path: Path) -> None:
    found = scorer(tiny_encoder(tmp_path / "encoder"))
    columns, _ = found.tokenize(PAIRS[:1])
    ids = torch.tensor(columns["input_ids"])
    states = found.model.base_model(
        input_ids=ids, token_type_ids=torch.tensor(columns["token_type_ids"])
    ).last_hidden_state[0]
    special = found.tokenizer.convert_tokens_to_ids("[SEP]")
    first, second = (ids[0] == special).nonzero().flatten().tolist()
    u, v = states[1:first].mean(dim=0), states[first + 1 : second].mean(dim=0)
    expected = INITIAL_SCALE * torch.cosine_similarity(u, v, dim=0)
    assert np.allclose(found.score(PAIRS[:1]), expected.item(), atol=1e-4)


def test_padding_and_the_other_pairs_of_a_batch_change_nothing(tmp_path: Path) -> None:
    found = scorer(tiny_encoder(tmp_path / "encoder"))
    alone = np.concatenate([found.score([pair]) for pair in PAIRS])
    assert np.allclose(found.score(PAIRS), alone, atol=1e-5)


def test_a_saved_head_gives_the_same_scores(tmp_path: Path) -> None:
    found = scorer(tiny_encoder(tmp_path / "encoder"))
    with torch.no_grad():
        found.model.weight.copy_(torch.linspace(-1, 1, len(found.model.weight)))
        found.model.scale.fill_(3.0)
    found.model.save_pretrained(str(tmp_path / "saved"))
    found.tokenizer.save_pretrained(str(tmp_path / "saved"))
    loaded = PairScorer.load(tmp_path / "saved", "cpu", 64, 16)
    assert loaded.reads_segments
    assert np.allclose(loaded.score(PAIRS), found.score(PAIRS), atol=1e-5)


def test_the_mean_of_an_empty_text_is_zero_and_not_nan() -> None:
    states = torch.ones(2, 3, 4)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_of(states, mask).tolist() == [[1.0] * 4, [0.0] * 4]


def test_an_empty_query_is_scored(tmp_path: Path) -> None:
    assert np.isfinite(scorer(tiny_encoder(tmp_path / "encoder")).score([("", "")])).all()
