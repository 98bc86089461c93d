"""Vectors of tokens and MaxSim, beside sentence-transformers' own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.encoders.token_encoder import TokenEncoder, maxsim
from tests.tiny import WORDS, tiny_encoder

PAIRS = [
    (" ".join(WORDS[:3]), " ".join(WORDS[10:30])),
    (WORDS[7], " ".join(WORDS[3:9])),
    (WORDS[7], " ".join(WORDS[10:30])),
]


def multi_vector(folder: Path, encoder: Path) -> Path:
    """A tiny ColBERT: the encoder's transformer, a projection to 8, the mask of tokens, length 1."""
    from sentence_transformers import MultiVectorEncoder

    torch.manual_seed(0)
    bare = encoder / ".." / f".{encoder.name}.bert"
    model = MultiVectorEncoder(str(bare.resolve()), device="cpu", prompts={"query": "find: ", "document": ""})
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def test_maxsim_by_hand() -> None:
    """Query (1, 0), (0, 1); document (3, 1), (-1, 2) and padding of 9: 3 + 2. The last query vector is padding."""
    query = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])
    document = torch.tensor([[[3.0, 1.0], [-1.0, 2.0], [9.0, 9.0]]])
    masks = torch.tensor([[True, True, False]])
    assert maxsim(query, masks, document, masks).tolist() == [5.0]
    assert maxsim(-query, masks, document, masks).tolist() == [1.0 - 1.0]


@pytest.mark.parametrize("tokens_per_batch", [1, 10**6])
def test_a_multi_vector_model_scores_as_in_sentence_transformers(tmp_path: Path, tokens_per_batch: int) -> None:
    from sentence_transformers import MultiVectorEncoder

    folder = multi_vector(tmp_path / "colbert", tiny_encoder(tmp_path / "encoder"))
    encoder, peer = TokenEncoder.load(folder, "cpu"), MultiVectorEncoder(str(folder), device="cpu")
    assert encoder.is_multi_vector
    queries, documents = peer.encode_query([q for q, _ in PAIRS]), peer.encode_document([d for _, d in PAIRS])
    expected = peer.similarity_pairwise(queries, documents).numpy()
    scores, cut = encoder.score_with_cuts(PAIRS, tokens_per_batch)
    assert scores == pytest.approx(expected, abs=1e-4)
    assert not cut.any()
    assert np.ptp(expected) > 1e-2


def test_the_token_states_of_a_dense_encoder(tmp_path: Path) -> None:
    """Brought to length 1, markers and prompt among them: a text against itself scores its number of tokens."""
    encoder = TokenEncoder.load(tiny_encoder(tmp_path / "encoder"), "cpu")
    assert not encoder.is_multi_vector
    text = " ".join(WORDS[:5])
    assert encoder.score_with_cuts([(text, text)])[0][0] == pytest.approx(5 + 2, abs=1e-4)
    vectors = encoder.vectors([text, WORDS[0]], "document")
    assert [len(each) for each in vectors] == [7, 3]
    assert torch.cat(vectors).norm(dim=1) == pytest.approx(np.ones(10), abs=1e-5)


def test_a_cut_is_told(tmp_path: Path) -> None:
    encoder = TokenEncoder.load(tiny_encoder(tmp_path / "encoder", max_length=20), "cpu")
    long = " ".join(WORDS[:40])
    assert encoder.score_with_cuts([(WORDS[0], WORDS[1]), (WORDS[0], long)])[1].tolist() == [False, True]


def test_a_query_that_is_filled_up_is_cut_at_that_width(tmp_path: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    folder = multi_vector(tmp_path / "colbert", tiny_encoder(tmp_path / "encoder"))
    model = MultiVectorEncoder(str(folder), device="cpu")
    model[0].query_expansion = {"strategy": "fixed", "length": 8, "attend": False}
    model.save_pretrained(str(folder), create_model_card=False)
    encoder = TokenEncoder.load(folder, "cpu")
    long = " ".join(WORDS[:12])
    assert [len(each) for each in encoder.vectors([long, WORDS[0]], "query")] == [8, 8]
    assert encoder.score_with_cuts([(WORDS[0], WORDS[1]), (long, WORDS[1])])[1].tolist() == [False, True]
