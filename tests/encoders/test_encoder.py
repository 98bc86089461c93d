"""An encoder gives the vectors of sentence-transformers, whatever the batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from tests.tiny import WORDS, tiny_encoder

TEXTS = ["baco difun", "", " ".join(WORDS[:200]), *(" ".join(WORDS[i : 2 * i]) for i in range(1, 25)), "gale"]


@pytest.fixture(scope="module", params=["no prompts", "prompts", "prompts that are not pooled"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("encoder") / "encoder"
    if request.param == "no prompts":
        return tiny_encoder(into)
    tiny_encoder(into, prompts={"query": "find baco: ", "document": "text: "})
    if request.param == "prompts that are not pooled":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(into), device="cpu")
        model[1].include_prompt = False
        model.save_pretrained(str(into), create_model_card=False)
    return into


@pytest.mark.parametrize("tokens_per_batch", [1, 150, 10**6])
def test_the_vectors_of_sentence_transformers(folder: Path, tokens_per_batch: int) -> None:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(folder), device="cpu")
    encoder = Encoder.load(folder)
    for side, encode in (("query", peer.encode_query), ("document", peer.encode_document)):
        found = encoder.encode(TEXTS, side, tokens_per_batch)  # type: ignore[arg-type]
        assert found.dtype == np.float32
        assert np.allclose(found, encode(TEXTS), atol=1e-5)
    assert encoder.dim == found.shape[1] == 32


def test_the_sides_differ_only_by_their_prompts(folder: Path) -> None:
    encoder = Encoder.load(folder)
    same = np.allclose(encoder.encode(TEXTS, "query"), encoder.encode(TEXTS, "document"), atol=1e-4)
    assert same == (encoder.prompt("query") == encoder.prompt("document"))


def test_no_texts_give_no_vectors(encoder_folder: Path) -> None:
    assert Encoder.load(encoder_folder).encode([], "query").shape == (0, 32)


def test_tokens_are_cut_at_the_models_length_prompt_included(tmp_path: Path) -> None:
    encoder = Encoder.load(
        tiny_encoder(tmp_path / "encoder", max_length=16, prompts={"query": "baco baco ", "document": ""})
    )
    columns = encoder.tokenize([" ".join(WORDS[:50]), "gale"], "query")
    assert [len(row) for row in columns["input_ids"]] == [16, 5]
    assert columns["input_ids"][0][1:3] == columns["input_ids"][1][1:3]


def test_texts_that_were_cut_are_counted(encoder_folder: Path) -> None:
    """64 tokens are 62 words and the two special ones."""
    encoder = Encoder.load(encoder_folder)
    texts = [" ".join(WORDS[:62]), " ".join(WORDS[:63]), "gale", " ".join(WORDS[:200])]
    found, cut = encoder.encode_with_cuts(texts, "document", 100)
    assert cut == 2
    assert np.array_equal(found, encoder.encode(texts, "document", 100))


def test_forward_has_a_gradient_where_it_is_on(encoder_folder: Path) -> None:
    encoder = Encoder.load(encoder_folder)
    columns = encoder.tokenize(TEXTS[:1], "document")
    encoder.forward(columns, "document").sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.model.parameters())
    with torch.no_grad():
        assert not encoder.forward(columns, "document").requires_grad


def test_a_model_that_reads_no_tokens_encodes_in_its_own_way(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from tests.tiny import tiny_tokenizer

    torch.manual_seed(0)
    static = SentenceTransformer(modules=[StaticEmbedding(tiny_tokenizer().backend_tokenizer, embedding_dim=8)])
    static.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    encoder = Encoder.load(tmp_path / "static")
    assert not encoder.reads_tokens("document")
    assert np.allclose(encoder.encode(["baco", "gale lemi"], "query"), static.encode_query(["baco", "gale lemi"]))


def test_a_folder_without_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        Encoder.load(tmp_path)
    assert str(error.value) == (
        "this folder holds no encoder\n"
        f"  where: {tmp_path}\n"
        "  allowed: a folder with modules.json (sentence-transformers) or config.json (transformers)\n"
        "  next step: name the folder that save_pretrained wrote"
    )


def test_a_cross_encoder_is_no_encoder(cross_encoder_folder: Path) -> None:
    """sentence-transformers would put a mean over what is below the classifier, without a word."""
    with pytest.raises(ModelError) as error:
        Encoder.load(cross_encoder_folder)
    assert error.value.what == "this folder holds a model that judges pairs, and a dense encoder was asked for"
    assert "`base`" in str(error.value.next_step)
