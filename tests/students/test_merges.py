"""A trimmed vocabulary of byte-level BPE: which merges stay, and that texts of kept tokens have the vectors that they had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel

from retkd.collections.base import Collection
from retkd.encoders.encoder import Encoder
from retkd.students.dense import Dense
from retkd.students.merges import pairs, steps, with_parts, without_lost
from retkd.students.vocabulary import Vocabulary, counts_from_padding, needed
from tests.tiny import WORDS

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
FOREIGN = "Zürich ☃ 北京\t\x00 ŋabu"


def bytewise(folder: Path, kind: str) -> Path:
    """A small RoBERTa or ModernBERT under a byte-level BPE that was trained on words; ModernBERT's special tokens come last."""
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    tokenizer = trained_tokenizer(first=kind == "Roberta")
    told = {name: tokenizer.convert_tokens_to_ids(token) for name, token in IDS.items()}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        **told,
    )
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder / "bare")
    tokenizer.save_pretrained(folder / "bare")
    modules = [Transformer(str(folder / "bare"), max_seq_length=128), Pooling(32)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "st"), create_model_card=False)
    return folder / "st"


IDS = {
    "bos_token_id": "<s>",
    "cls_token_id": "<s>",
    "pad_token_id": "<pad>",
    "eos_token_id": "</s>",
    "sep_token_id": "</s>",
}


def trained_tokenizer(first: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, RobertaTokenizer

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=list(SPECIAL) if first else [],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([" ".join(WORDS[i::3]) for i in range(3)] * 4, trainer)
    if not first:
        made.add_special_tokens(list(SPECIAL))
    number = {token: made.token_to_id(token) for token in SPECIAL}
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(each, number[each]) for each in ("<s>", "</s>")]
    )
    names = ("bos_token", "cls_token", "pad_token", "eos_token", "sep_token", "unk_token", "mask_token")
    named = dict(zip(names, ("<s>", "<s>", "<pad>", "</s>", "</s>", "<unk>", "<mask>"), strict=True))
    if not first:
        return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=128, **named)
    told = json.loads(made.to_str())["model"]
    return RobertaTokenizer(vocab=told["vocab"], merges=[tuple(each) for each in told["merges"]], model_max_length=128)


@pytest.fixture(scope="module", params=["Roberta", "ModernBert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bytewise(tmp_path_factory.mktemp("bytewise"), request.param)


def published(folder: Path, collection: Collection, out: Path, **settings: Any) -> Encoder:
    student = Dense(base="base", initialisation=[Vocabulary(**settings)], normalize=False)
    student.build(folder, "cpu", collection).save(out)
    return Encoder.load(out)


def test_texts_of_kept_tokens_have_bit_identical_vectors(folder: Path, collection: Collection, tmp_path: Path) -> None:
    whole, small = Encoder.load(folder), published(folder, collection, tmp_path / "student")
    assert len(small.model.tokenizer) == small.model[0].auto_model.config.vocab_size < len(whole.model.tokenizer)
    documents = [document.full_text for document in collection.documents()]
    queries = [query.text for query in collection.queries("train")]
    assert np.array_equal(small.encode(documents, "document"), whole.encode(documents, "document"))
    assert np.array_equal(small.encode(queries, "query"), whole.encode(queries, "query"))


def test_any_text_whose_tokens_are_kept_is_read_as_before(folder: Path, collection: Collection, tmp_path: Path) -> None:
    """Also where most of the collection's tokens are lost, and in the words that are left."""
    whole, small = Encoder.load(folder), published(folder, collection, tmp_path / "student", min_count=6)
    vocabulary = small.model.tokenizer.get_vocab()
    texts = [*WORDS, *(f"{a} {b}" for a, b in zip(WORDS, WORDS[9:], strict=False))]
    kept = [text for text in texts if vocabulary.keys() >= set(whole.model.tokenizer.tokenize(text))]
    assert 10 < len(kept) < len(texts) - 10
    assert all(small.model.tokenizer.tokenize(each) == whole.model.tokenizer.tokenize(each) for each in kept)
    assert np.array_equal(small.encode(kept, "query"), whole.encode(kept, "query"))


def test_ids_are_remapped_one_to_one_and_specials_are_kept(
    folder: Path, collection: Collection, tmp_path: Path
) -> None:
    whole, small = Encoder.load(folder), published(folder, collection, tmp_path / "student")
    old, new = whole.model.tokenizer.get_vocab(), small.model.tokenizer.get_vocab()
    assert sorted(new.values()) == list(range(len(new)))
    assert sorted(new, key=new.__getitem__) == sorted(new, key=old.__getitem__)
    rows = small.model[0].auto_model.get_input_embeddings().weight
    table = whole.model[0].auto_model.get_input_embeddings().weight
    assert all(torch.equal(rows[number], table[old[token]]) for token, number in new.items())
    assert {*SPECIAL, *ByteLevel.alphabet()} <= new.keys()
    config = small.model[0].auto_model.config
    assert {name: getattr(config, name) for name in IDS} == {name: new[token] for name, token in IDS.items()}


def test_a_text_with_lost_tokens_has_shorter_ones_and_none_unknown(
    folder: Path, collection: Collection, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    whole = Encoder.load(folder)
    published(folder, collection, tmp_path / "student", min_count=6)
    model = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    lost = [
        word for word in WORDS if not set(whole.model.tokenizer.tokenize(word)) <= model.tokenizer.get_vocab().keys()
    ]
    assert lost
    for text in (*lost, FOREIGN):
        ids = model.tokenizer(text)["input_ids"]
        assert model.tokenizer.unk_token_id not in ids
        assert len(ids) >= len(whole.model.tokenizer(text)["input_ids"])
        assert model.tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(model.tokenizer(lost[0])["input_ids"]) > len(whole.model.tokenizer(lost[0])["input_ids"])
    assert np.isfinite(model.encode([*lost, FOREIGN])).all()


def test_a_merge_stays_with_its_result_and_both_parts(folder: Path, collection: Collection, tmp_path: Path) -> None:
    published(folder, collection, tmp_path / "student", min_count=6)
    before, after = (
        json.loads((each / "tokenizer.json").read_text())["model"] for each in (folder, tmp_path / "student")
    )
    stay = [p for p in pairs(before) if {*p, "".join(p)} <= after["vocab"].keys()]
    assert pairs(after) == stay
    assert 0 < len(stay) < len(pairs(before))


def test_what_a_token_is_built_from() -> None:
    """By the merges in their order: "ab" goes before "bc", so that "bcd" is never on the way to "abcd"."""
    merges = pairs({"merges": ["a b", "b c", "bc d", "c d", "ab cd", "a bcd"]})
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    assert steps("abcd", ranks) == {"ab", "cd", "abcd"}
    assert steps("bcd", ranks) == {"bc", "bcd"}
    assert steps("a", ranks) == set()
    assert steps("abc", ranks) == set()
    vocabulary = {token: n for n, token in enumerate(["a", "b", "c", "d", "ab", "bc", "bcd", "cd", "abcd", "☃"])}
    assert with_parts({8}, vocabulary, merges) == {0, 1, 2, 3, 4, 7, 8}
    kept = {token: n for token, n in vocabulary.items() if n in {0, 1, 2, 3, 4, 7, 8}}
    assert without_lost({"merges": ["a b", "b c", "bc d", "c d", "ab cd", "a bcd"]}, kept) == ["a b", "c d", "ab cd"]


def test_tokens_before_the_padding_one_stay_where_positions_are_counted_from_it(tmp_path: Path) -> None:
    roberta, modern = (Encoder.load(bytewise(tmp_path / kind, kind)).model for kind in ("Roberta", "ModernBert"))
    assert counts_from_padding(roberta[0].auto_model)
    assert needed(roberta.tokenizer, roberta[0].auto_model) == {0, 1, 2, 3, 4}
    assert not counts_from_padding(modern[0].auto_model)
    last = len(modern.tokenizer)
    assert needed(modern.tokenizer, modern[0].auto_model) == set(range(last - 5, last))
