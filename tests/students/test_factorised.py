"""Factorised embeddings: the error falls with the rank, and with directions to spare nothing changes."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.factorised import Factorised, directions, factorised
from tests.architectures import made
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale", "mi no pa ru"]
NAMES = ("word_embeddings", "position_embeddings", "token_type_embeddings")


def of_low_rank(kind: str, rank: int) -> Any:
    """A model whose embeddings span so many directions."""
    model = made(kind, type_vocab_size=1) if "roberta" in kind else made(kind)
    directions = torch.randn(rank, 16)
    with torch.no_grad():
        for name in NAMES:
            table = getattr(model.embeddings, name).weight
            table.copy_(torch.randn(len(table), rank) @ directions)
        model.embeddings.LayerNorm.weight.uniform_(0.5, 2.0)
        model.embeddings.LayerNorm.bias.uniform_(-1.0, 1.0)
    return model


def test_the_error_never_grows_with_the_rank_and_ends_at_nothing() -> None:
    """Of the word table, and of all sums of word and position; against numpy's best approximation of the sums."""
    torch.manual_seed(0)
    words, positions, types = torch.randn(40, 12), torch.randn(9, 12), torch.randn(2, 12)
    centred = words - words.mean(dim=1, keepdim=True)
    sums = (words[:, None] + positions[None] + types[0]).reshape(-1, 12).double()
    sums = sums - sums.mean(dim=1, keepdim=True)
    errors = []
    for count in range(1, 12):
        base = directions(words, positions, types, count)
        assert torch.allclose(base.T @ base, torch.eye(count, dtype=torch.float64), atol=1e-12)
        of_words, of_sums = (float((x - x @ base @ base.T).norm()) for x in (centred.double(), sums))
        singular = np.linalg.svd(sums.numpy(), compute_uv=False)
        assert of_sums == pytest.approx(np.sqrt((singular[count:] ** 2).sum()), abs=1e-8)
        errors.append((of_words, of_sums))
    for one, next_one in pairwise(errors):
        assert next_one[0] <= one[0] + 1e-12
        assert next_one[1] <= one[1] + 1e-12
    assert errors[-1] == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_with_directions_to_spare_it_computes_what_the_base_does(kind: str) -> None:
    model = of_low_rank(kind, 5)
    small = factorised(model, 6, "base")
    ids, mask = torch.tensor([[5, 9, 20, 31], [7, 8, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    if kind != "bert":
        ids[1, 2:] = model.config.pad_token_id
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]
        found = small(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]
        fewer = factorised(model, 4, "base")(input_ids=ids, attention_mask=mask).last_hidden_state[mask.bool()]
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(fewer, expected, atol=1e-2)


def test_the_published_folder_loads_elsewhere(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    base = tiny_encoder(tmp_path / "base")
    built = Dense(base="base", initialisation=[Factorised(rank=8)], dropout=0.0).build(base, "cpu")
    assert built.model[0].auto_model.config.hidden_dropout_prob == 0.0
    built.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    again: Any = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    assert again[0].auto_model.get_input_embeddings().weight.shape[1] == 8
    expected = built.encode(TEXTS, "document")
    assert expected.shape == (3, 32)
    assert np.allclose(again.encode_document(TEXTS), expected, atol=1e-6)
    assert np.array_equal(Encoder.load(tmp_path / "student").encode(TEXTS, "document"), expected)
    more = sum(p.numel() for p in Encoder.load(base).model.parameters()) - sum(p.numel() for p in again.parameters())
    assert more > 0


def test_what_cannot_be_factorised() -> None:
    with pytest.raises(ModelError) as error:
        factorised(made("distilbert"), 8, "models/base")
    assert str(error.value) == (
        "the embeddings of this architecture cannot be factorised\n"
        "  where: models/base\n"
        "  seen: distilbert\n"
        "  allowed: bert, electra, roberta, xlm-roberta, camembert, with embeddings as wide as the layers\n"
        "  next step: choose another base, or leave the step `factorised` out"
    )
    once = factorised(made("bert"), 8, "base")
    with pytest.raises(ModelError, match="seen: embeddings that are factorised"):
        factorised(once, 4, "base")
    with pytest.raises(ModelError, match=r"narrower than the layers\n.*\n  seen: rank 16\n  allowed: 2 to 15"):
        factorised(made("bert"), 16, "base")
