"""A trimmed vocabulary: which tokens stay, and that texts of kept tokens have the vectors that they had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.collections.base import Collection
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.vocabulary import Vocabulary, frequent, needed, token_counts, with_characters
from tests.tiny import SPECIAL, WORDS, tiny_encoder

PROMPTS = {"query": "zun ", "document": ""}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "base", prompts=PROMPTS)


def trimmed(base: Path, collection: Collection, **settings: Any) -> Encoder:
    return Dense(base="base", initialisation=[Vocabulary(**settings)]).build(base, "cpu", collection)


def texts_of(collection: Collection) -> list[str]:
    return [d.full_text for d in collection.documents()] + ["zun " + q.text for q in collection.queries("train")]


def test_texts_of_kept_tokens_have_bit_identical_vectors(base: Path, collection: Collection, tmp_path: Path) -> None:
    whole, small = Encoder.load(base), trimmed(base, collection)
    small.model.eval()
    documents = [document.full_text for document in collection.documents()]
    queries = [query.text for query in collection.queries("train")]
    assert small.model[0].auto_model.config.vocab_size < whole.model[0].auto_model.config.vocab_size
    small.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    for each in (small, Encoder.load(tmp_path / "student")):
        assert np.array_equal(each.encode(documents, "document"), whole.encode(documents, "document"))
        assert np.array_equal(each.encode(queries, "query"), whole.encode(queries, "query"))


def test_ids_are_remapped_one_to_one_and_specials_are_kept(base: Path, collection: Collection) -> None:
    whole, small = Encoder.load(base), trimmed(base, collection)
    old, new = whole.model.tokenizer.get_vocab(), small.model.tokenizer.get_vocab()
    assert new.keys() <= old.keys()
    assert sorted(new.values()) == list(range(len(new)))
    assert sorted(new, key=new.__getitem__) == sorted(new, key=old.__getitem__)
    rows = small.model[0].auto_model.get_input_embeddings().weight
    table = whole.model[0].auto_model.get_input_embeddings().weight
    assert all(torch.equal(rows[number], table[old[token]]) for token, number in new.items())
    assert set(SPECIAL) <= new.keys()
    read = {t for text in texts_of(collection) for t in whole.model.tokenizer.tokenize(text)}
    assert read <= new.keys()
    unread = [word for word in WORDS if word not in read]
    assert unread
    assert new.keys().isdisjoint(unread)


def test_a_word_that_is_gone_is_spelled(base: Path, collection: Collection) -> None:
    """Its letters stay because words that stay have them."""
    small = trimmed(base, collection, min_count=3)
    vocabulary = small.model.tokenizer.get_vocab()
    gone = next(word for word in WORDS if word not in vocabulary)
    pieces = small.model.tokenizer.tokenize(gone)
    assert "".join(piece.removeprefix("##") for piece in pieces) == gone
    assert len(pieces) > 1


def test_only_documents_and_training_queries_count(base: Path, collection: Collection) -> None:
    class Seen(type(collection)):  # type: ignore[misc]
        def all_queries(self, split: str) -> Any:
            assert split == "train"
            return super().all_queries(split)

    watched = Seen.__new__(Seen)
    watched.__dict__.update(collection.__dict__)
    assert len(trimmed(base, watched).model.tokenizer) == len(trimmed(base, collection).model.tokenizer)


def test_frequent_tokens_by_count_and_by_coverage() -> None:
    counts = np.array([0, 50, 10, 30, 10, 0, 1])
    assert frequent(counts, 1, 1.0) == {1, 2, 3, 4, 6}
    assert frequent(counts, 2, 1.0) == {1, 2, 3, 4}
    assert frequent(counts, 1, 0.8) == {1, 3, 2}
    assert frequent(counts, 1, 0.3) == {1}
    assert frequent(counts, 20, 1.0) == {1, 3}


def test_counts_are_those_of_the_tokeniser(base: Path) -> None:
    tokenizer = Encoder.load(base).model.tokenizer
    counts = token_counts(tokenizer, iter(["baco baco", "difun"]), len(tokenizer))
    told = {tokenizer.convert_ids_to_tokens(int(number)): int(counts[number]) for number in np.flatnonzero(counts)}
    assert told == {"[CLS]": 2, "[SEP]": 2, "baco": 2, "difun": 1}


def test_what_is_kept_whatever_the_texts(base: Path) -> None:
    model = Encoder.load(base).model
    assert needed(model.tokenizer, model[0].auto_model) == {0, 1, 2, 3, 4}
    assert with_characters({1}, {"x": 0, "abx": 1, "##b": 2, "a": 3, "##x": 4, "c": 5}) == {0, 1, 2, 3, 4}


def unigram(folder: Path) -> Path:
    """A small XLM-R with a Unigram tokeniser, its special tokens where XLM-R has them and the mask last."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    words = [f"▁{word}" for word in WORDS[:60]]
    letters = sorted({letter for word in WORDS for letter in word})
    scored = [*((word, -3.0 - i / 20) for i, word in enumerate(words)), *((c, -9.0) for c in (*letters, "▁"))]
    vocab = [*((token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")), *scored, ("<mask>", 0.0)]
    tokenizer = XLMRobertaTokenizer(vocab=vocab, model_max_length=64)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
    )
    XLMRobertaModel(config).save_pretrained(folder / "bare")
    tokenizer.save_pretrained(folder / "bare")
    modules = [Transformer(str(folder / "bare")), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "st"), create_model_card=False)
    return folder / "st"


def test_a_unigram_tokeniser(collection: Collection, tmp_path: Path) -> None:
    folder = unigram(tmp_path)
    whole = Encoder.load(folder)
    built = Dense(base="base", initialisation=[Vocabulary()], normalize=False).build(folder, "cpu", collection)
    built.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    small = Encoder.load(tmp_path / "student")
    documents = [document.full_text for document in collection.documents()]
    assert small.model.tokenizer.tokenize(documents[0]) == whole.model.tokenizer.tokenize(documents[0])
    assert np.array_equal(small.encode(documents, "document"), whole.encode(documents, "document"))
    tokenizer = small.model.tokenizer
    assert len(tokenizer) < len(whole.model.tokenizer)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    assert tokenizer("☃")["input_ids"] == [0, 3, 2] or 3 in tokenizer("☃")["input_ids"]


def test_without_a_collection_or_with_merges_of_characters_it_is_refused(
    base: Path, collection: Collection, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="made to fit a collection, and none was given\n  where: base"):
        Dense(base="base", initialisation=[Vocabulary()]).build(base, "cpu")
    folder = merges(base, tmp_path / "bpe")
    with pytest.raises(ModelError) as error:
        Dense(base="base", initialisation=[Vocabulary()]).build(folder, "cpu", collection)
    assert str(error.value) == (
        "the vocabulary of this tokeniser cannot be trimmed\n"
        "  where: base\n"
        "  seen: BPE\n"
        "  allowed: WordPiece or Unigram or WordLevel or byte-level BPE without prefixes or suffixes\n"
        "  next step: leave the step `vocabulary` out, or choose a base with such a tokeniser"
    )


def merges(base: Path, folder: Path) -> Path:
    """The base with a tokeniser that merges pairs of characters."""
    import shutil

    shutil.copytree(base, folder)
    told = json.loads((folder / "tokenizer.json").read_text())
    told["model"] = {"type": "BPE", "vocab": told["model"]["vocab"], "merges": [], "unk_token": "[UNK]"}
    (folder / "tokenizer.json").write_text(json.dumps(told))
    return folder


def test_steps_follow_each_other(base: Path, collection: Collection, tmp_path: Path) -> None:
    from retkd.students.factorised import Factorised
    from retkd.students.width import Width

    steps = [Width(hidden=16), Vocabulary(min_count=2), Factorised(rank=8)]
    built = Dense(base="base", layers=[0], initialisation=steps).build(base, "cpu", collection)
    again = Dense(base="base", layers=[0], initialisation=steps).build(base, "cpu", collection)
    config = built.model[0].auto_model.config
    assert (config.num_hidden_layers, config.hidden_size, config.embedding_size) == (1, 16, 8)
    assert config.vocab_size == len(built.model.tokenizer)
    names = iter(("one", "two"))

    def saved(encoder: Encoder) -> dict[str, bytes]:
        folder = tmp_path / next(names)
        encoder.model.save_pretrained(str(folder), create_model_card=False)
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    assert saved(built) == saved(again)
