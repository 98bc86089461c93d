"""Vectors cut to their first coordinates, by numpy, by a model's own modules and by sentence-transformers."""

from pathlib import Path

import numpy as np
import pytest

from retkd.encoders.encoder import Encoder
from retkd.encoders.truncation import cut_model, require_narrower, shortened
from retkd.errors import ModelError
from tests.tiny import tiny_encoder

TEXTS = ["baco difun", "gale", "codin fuga baban"]


def test_cut_by_hand() -> None:
    """(3, 4, 12) becomes (0.6, 0.8); zeros stay zeros."""
    found = shortened(np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 5.0]]), 2)
    assert found.dtype == np.float32
    assert np.allclose(found, [[0.6, 0.8], [0.0, 0.0]])


def test_the_cut_model_gives_what_is_cut_from_the_whole_one(tmp_path: Path) -> None:
    """Also after it was saved, and as sentence-transformers' `truncate_dim` cuts, but for the length."""
    from sentence_transformers import SentenceTransformer

    folder = tiny_encoder(tmp_path / "whole", prompts={"query": "baco: ", "document": ""})
    whole = Encoder.load(folder)
    cut_model(whole.model, 12).save_pretrained(str(tmp_path / "cut"), create_model_card=False)
    cut = Encoder.load(tmp_path / "cut")
    assert cut.dim == 12
    theirs = SentenceTransformer(str(folder), device="cpu", truncate_dim=12)
    for side, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        expected = shortened(whole.encode(TEXTS, side), 12)  # type: ignore[arg-type]
        assert np.allclose(cut.encode(TEXTS, side), expected, atol=1e-6)  # type: ignore[arg-type]
        assert np.allclose(shortened(encode(TEXTS), 12), expected, atol=1e-6)


def test_more_coordinates_than_there_are_is_an_error() -> None:
    require_narrower(384, 384, "stage index, dim")
    with pytest.raises(ModelError) as error:
        require_narrower(385, 384, "stage index, dim")
    assert str(error.value) == (
        "vectors cannot be cut to more coordinates than they have\n"
        "  where: stage index, dim\n"
        "  seen: 385\n"
        "  allowed: 1 to 384\n"
        "  next step: lower `dim`, or leave it out for whole vectors"
    )
