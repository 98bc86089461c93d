from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from tests.tiny import WORDS, tiny_bert, tiny_encoder

TEXTS = ["baco difun fuga", "gale", " ".join(WORDS[:40])]


def vectors(encoder: Encoder, side: str = "document") -> np.ndarray:
    encoder.model.eval()
    return encoder.encode(TEXTS, side)  # type: ignore[arg-type]


def test_with_all_layers_the_student_is_its_base(encoder_folder: Path) -> None:
    built = Dense(base=str(encoder_folder)).build(encoder_folder, "cpu")
    assert np.array_equal(vectors(built), vectors(Encoder.load(encoder_folder)))


def test_fewer_layers_come_back_from_the_saved_folder(encoder_folder: Path, tmp_path: Path) -> None:
    built = Dense(base="base", layers=[1]).build(encoder_folder, "cpu")
    built.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    again = Encoder.load(tmp_path / "student")
    assert again.model[0].auto_model.config.num_hidden_layers == 1
    assert np.array_equal(vectors(again), vectors(built))
    assert not np.allclose(vectors(built), vectors(Encoder.load(encoder_folder)))


def test_prompts_and_pooling_come_from_the_base_unless_the_recipe_says_else(tmp_path: Path) -> None:
    base = tiny_encoder(tmp_path / "base", prompts={"query": "q: ", "document": "d: "}, pooling="cls")
    same = Dense(base="base").build(base, "cpu")
    assert np.array_equal(vectors(same, "query"), vectors(Encoder.load(base), "query"))
    assert (same.prompt("query"), same.prompt("document")) == ("q: ", "d: ")
    other = Dense(base="base", prompts={"query": "x "}).build(base, "cpu")
    assert (other.prompt("query"), other.prompt("document")) == ("x ", "")
    pooled = Dense(base="base", pooling="mean").build(base, "cpu")
    mean = tiny_encoder(tmp_path / "mean", prompts={"query": "q: ", "document": "d: "}, pooling="mean")
    assert np.array_equal(vectors(pooled), vectors(Encoder.load(mean)))
    assert not np.allclose(vectors(pooled), vectors(same))


def test_a_bare_transformers_folder_gets_mean_pooling(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = tiny_bert(tmp_path / "bert", 3, 2, 32, WORDS, 64)
    built = Dense(base="bert", normalize=False).build(folder, "cpu")
    ids = torch.tensor([built.tokenize(TEXTS[:1], "document")["input_ids"][0]])
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state[0].mean(dim=0)
    assert np.allclose(vectors(built)[0], expected.numpy(), atol=1e-6)


def test_normalised_or_not(encoder_folder: Path) -> None:
    raw = vectors(Dense(base="base", normalize=False).build(encoder_folder, "cpu"))
    unit = vectors(Dense(base="base").build(encoder_folder, "cpu"))
    assert np.allclose(np.linalg.norm(unit, axis=1), 1.0, atol=1e-6)
    assert np.allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    assert not np.allclose(raw, unit)


def test_the_maximum_length_cuts_texts(encoder_folder: Path) -> None:
    built = Dense(base="base", max_length=8).build(encoder_folder, "cpu")
    assert [len(row) for row in built.tokenize(TEXTS, "document")["input_ids"]] == [5, 3, 8]


def test_a_maximum_length_beyond_the_positions_is_refused(encoder_folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        Dense(base="base", max_length=65).build(encoder_folder, "cpu")
    assert str(error.value) == (
        "the student's max_length is beyond the positions that its base knows\n"
        f"  where: {encoder_folder}\n"
        "  seen: 65\n"
        "  allowed: 4 to 64\n"
        "  next step: lower student.max_length, or choose a base for longer texts"
    )


def test_a_base_that_does_not_begin_with_a_transformer_is_refused(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from tests.tiny import tiny_tokenizer

    static = StaticEmbedding(tiny_tokenizer().backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static]).save_pretrained(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(ModelError, match=r"does not begin with a transformer\n.*\n  seen: StaticEmbedding"):
        Dense(base="static").build(tmp_path / "static", "cpu")


def test_dropout_is_set_on_the_built_model(encoder_folder: Path) -> None:
    built = Dense(base="base", dropout=0.0).build(encoder_folder, "cpu")
    built.model.train()
    columns = built.tokenize(TEXTS[:1], "document")
    assert torch.equal(built.forward(columns, "document"), built.forward(columns, "document"))
    assert built.model[0].auto_model.config.hidden_dropout_prob == 0.0
