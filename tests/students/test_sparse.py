from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.errors import ModelError
from retkd.students.sparse import Sparse
from tests.tiny import WORDS, tiny_bert, tiny_encoder, tiny_sparse_encoder

TEXTS = ["baco difun fuga", "gale", " ".join(WORDS[:40])]


def weights(encoder: SparseEncoder, side: str = "document") -> np.ndarray:
    encoder.model.eval()
    return encoder.encode_sparse(TEXTS, side)[0].toarray()  # type: ignore[arg-type,no-any-return]


def saved(encoder: SparseEncoder, folder: Path) -> Path:
    encoder.model.save_pretrained(str(folder), create_model_card=False)
    return folder


def test_a_base_with_a_masked_lm_head_keeps_it(tmp_path: Path) -> None:
    splade = tiny_sparse_encoder(tmp_path / "splade")
    bare = tmp_path / ".splade.bert"
    assert np.allclose(weights(Sparse(base="b").build(splade, "cpu")), weights(SparseEncoder.load(splade)), atol=1e-6)
    head = Sparse(base="b").build(bare, "cpu").model[0].auto_model.cls.predictions
    own = Sparse(base="b", head_bias=-1.0).build(bare, "cpu").model[0].auto_model.cls.predictions
    assert torch.equal(head.transform.dense.weight, own.transform.dense.weight)
    assert torch.equal(head.bias, torch.zeros_like(head.bias))
    assert torch.equal(head.bias, own.bias)


def test_a_base_without_a_head_gets_one_tied_to_its_word_embeddings(tmp_path: Path) -> None:
    """The logits are the normed states times the word embeddings, plus the bias."""
    base = tiny_encoder(tmp_path / "base")
    built = Sparse(base="b", head_bias=-2.0).build(base, "cpu")
    model = built.model[0].auto_model.eval()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    ids = torch.tensor([built.tokenize(TEXTS[:1], "document")["input_ids"][0]])
    with torch.no_grad():
        states = torch.nn.functional.layer_norm(model.bert(input_ids=ids).last_hidden_state, (32,))
        expected = states @ model.get_input_embeddings().weight.T - 2.0
        found = model(input_ids=ids).logits
    assert torch.allclose(found, expected, atol=1e-3)
    terms = torch.log1p(torch.relu(expected)).amax(dim=1)[0].numpy()
    assert np.allclose(weights(built)[0], terms, atol=1e-3)
    assert 0 < (terms > 0).mean() < 0.5


@pytest.mark.parametrize("query", ["encoded", "inference_free"])
def test_the_folder_loads_with_sentence_transformers(tmp_path: Path, query: str) -> None:
    from sentence_transformers import SparseEncoder as Theirs

    built = Sparse(base="b", query=query, layers=[1], prompts={"query": "gale: "}, max_active=9, head_bias=-0.5).build(
        tiny_encoder(tmp_path / "base"), "cpu"
    )
    theirs = Theirs(str(saved(built, tmp_path / "student")), device="cpu")
    again = SparseEncoder.load(tmp_path / "student")
    for side, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        assert np.allclose(weights(built, side), encode(TEXTS).to_dense().numpy(), atol=1e-5)
        assert np.allclose(weights(again, side), weights(built, side), atol=1e-6)
    assert weights(built).astype(bool).sum(axis=1).max() == 9
    assert built.dim == weights(built).shape[1]


def test_without_inference_a_query_is_its_own_word_pieces(tmp_path: Path) -> None:
    built = Sparse(base="b", query="inference_free").build(tiny_encoder(tmp_path / "base"), "cpu")
    tokenizer = built.tokenizer("query")
    expected = np.zeros((3, built.dim))
    for row, text in enumerate(TEXTS):
        expected[row, tokenizer(text, add_special_tokens=False)["input_ids"]] = 1.0
    assert np.array_equal(weights(built, "query"), expected)
    columns = built.tokenize(TEXTS, "query")
    assert np.array_equal(built.forward(columns, "query").detach().numpy(), expected)
    assert not np.array_equal(weights(built, "document"), expected)


def test_a_base_that_can_be_no_masked_language_model_is_refused(tmp_path: Path) -> None:
    from tests.architectures import made

    made("qwen3").save_pretrained(tmp_path / "qwen3")
    with pytest.raises(ModelError) as error:
        Sparse(base="b").build(tmp_path / "qwen3", "cpu")
    assert str(error.value).startswith("a sparse student needs a base that can be a masked language model\n  where: ")
    assert "next step: choose another base for the student" in str(error.value)


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    base = tiny_encoder(tmp_path / "base")
    with pytest.raises(ModelError) as error:
        SparseEncoder.load(base)
    assert str(error.value) == (
        "this folder holds a dense encoder, and a sparse encoder was asked for\n"
        f"  where: {base}\n"
        "  seen: model_type SentenceTransformer\n"
        "  allowed: model_type SparseEncoder\n"
        "  next step: name a model of that kind, or use the parts that read a dense encoder"
    )
    assert tiny_bert(tmp_path / "bert", 0, 2, 32, WORDS, 64, "BertForMaskedLM")
    assert SparseEncoder.load(tmp_path / "bert").encode_sparse(TEXTS, "query")[0].shape[0] == 3
