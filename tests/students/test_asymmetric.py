from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.stage import Model
from retkd.students.asymmetric import Asymmetric, DocumentTower, StaticTower, TransformerTower
from tests.tiny import WORDS, tiny_encoder

TEXTS = ["baco difun fuga", "gale", " ".join(WORDS[:40])]
DOCUMENT = DocumentTower(base="document")
TOWERS = [
    StaticTower(),
    StaticTower(start="word_embeddings"),
    TransformerTower(base="query", layers=[1]),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("towers")
    document = tiny_encoder(folder / "document", prompts={"query": "ba: ", "document": "du: "})
    query = tiny_encoder(folder / "query", seed=5, dim=16, max_length=32)
    return {name: Model(name, path, name) for name, path in (("document", document), ("query", query))}


@pytest.mark.parametrize("tower", TOWERS)
def test_the_folder_loads_with_sentence_transformers_and_the_documents_are_those_of_the_base(
    models: dict[str, Model], tower: Any, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    built = Asymmetric(query=tower, document=DOCUMENT).made(models, "cpu")
    built.model.eval().save_pretrained(str(tmp_path / "student"), create_model_card=False)
    theirs, again = SentenceTransformer(str(tmp_path / "student"), device="cpu"), Encoder.load(tmp_path / "student")
    queries = again.encode(TEXTS, "query")
    assert np.allclose(queries, theirs.encode_query(TEXTS), atol=1e-6)
    assert np.allclose(again.encode(TEXTS, "document"), theirs.encode_document(TEXTS), atol=1e-6)
    assert np.array_equal(
        again.encode(TEXTS, "document"), Encoder.load(models["document"].path).encode(TEXTS, "document")
    )
    columns = built.tokenize(TEXTS, "query")
    assert np.allclose(built.forward(columns, "query").detach().numpy(), queries, atol=1e-5)
    assert np.allclose(np.linalg.norm(queries, axis=1), 1.0, atol=1e-5)


def test_a_frozen_document_tower_has_no_gradient(models: dict[str, Model]) -> None:
    built = Asymmetric(document=DOCUMENT).made(models, "cpu")
    (
        built.forward(built.tokenize(TEXTS, "query"), "query") @ torch.from_numpy(built.encode(TEXTS, "document")).T
    ).sum().backward()
    router = built.model[0]
    assert all(p.grad is None and not p.requires_grad for p in router.sub_modules["document"].parameters())
    assert all(p.grad is not None for p in router.sub_modules["query"].parameters())
    moving = Asymmetric(document=DocumentTower(base="document", frozen=False))
    assert moving.stored_documents is None
    assert all(p.requires_grad for p in moving.made(models, "cpu").model[0].sub_modules["document"].parameters())


def test_a_static_tower_begins_with_what_the_document_tower_makes_of_each_word(models: dict[str, Model]) -> None:
    built = Asymmetric(document=DOCUMENT).made(models, "cpu")
    peer = Encoder.load(models["document"].path)
    peer.model.prompts = {}
    found = built.model[0].sub_modules["query"][0].embedding.weight.detach().numpy()
    number = built.tokenizer("query").token_to_id("gale") or built.tokenizer("query").token_to_id(WORDS[9])
    word = built.tokenizer("query").id_to_token(number)
    assert np.allclose(found[number], peer.encode([word], "document")[0], atol=1e-5)


def test_what_the_document_tokeniser_cut_last_does_not_cut_queries(models: dict[str, Model]) -> None:
    built = Asymmetric(document=DOCUMENT).made(models, "cpu")
    built.cut_at(8)
    built.encode(TEXTS, "document")
    assert [len(row) for row in built.tokenize(TEXTS, "query")["input_ids"]][2] > 40
    assert max(len(row) for row in built.tokenize(TEXTS, "document")["input_ids"]) == 8


def test_a_frozen_tower_keeps_its_prompt(models: dict[str, Model]) -> None:
    told = Asymmetric(document=DOCUMENT, prompts={"query": "no: ", "document": "not this"}).made(models, "cpu")
    assert (told.prompt("query"), told.prompt("document")) == ("no: ", "du: ")
    free = Asymmetric(document=DocumentTower(base="document", frozen=False), prompts={"query": "no: "})
    assert free.made(models, "cpu").prompt("document") == ""


def test_a_document_tower_that_is_no_transformer_is_refused(models: dict[str, Model], tmp_path: Path) -> None:
    built = Asymmetric(document=DOCUMENT).made(models, "cpu")
    built.model.save_pretrained(str(tmp_path / "two"), create_model_card=False)
    with pytest.raises(ModelError, match=r"is to be a text encoder that begins with a transformer\n.*\n  seen: Router"):
        Asymmetric(document=DOCUMENT).made({"document": Model("document", tmp_path / "two", "0")}, "cpu")
