"""Languages: of documents and queries in files, of ids, of what a miner may bring; translations joined by id."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.collections.base import Document, Query
from retkd.collections.beir import Beir
from retkd.collections.beir_folder import write_documents, write_qrels, write_queries
from retkd.collections.cut import Cut, place_of
from retkd.collections.translations import Translations
from retkd.errors import DataError
from retkd.miners.fused import Fused
from retkd.miners.random import RandomMiner
from retkd.stages.mine import Config, run
from tests.conftest import MakeInputs
from tests.tables import beir

TEXTS = {
    "p1": {"en": "a cat", "de": "eine Katze"},
    "p2": {"en": "a dog", "de": "ein Hund"},
    "p3": {"en": "rain", "de": "Regen"},
}
ASKED = {"q1": {"en": "which cat", "de": "welche Katze"}, "q2": {"en": "wet?", "de": "nass?"}}
JUDGED = {"q1": "p1", "q2": "p3"}


def mixed(folder: Path) -> Path:
    """One folder of both languages, ids `de-p1`, one qrels file per language, as in XQuAD made for retrieval."""
    documents = {f"{lang}-{key}": texts[lang] for lang in ("en", "de") for key, texts in TEXTS.items()}
    queries = {f"{lang}-{key}": texts[lang] for lang in ("en", "de") for key, texts in ASKED.items()}
    qrels = {f"{lang}-{lang}": {f"{lang}-{q}": {f"{lang}-{d}": 1} for q, d in JUDGED.items()} for lang in ("en", "de")}
    return beir(folder, documents, queries, qrels)


def joined(folder: Path, cache: Path, **settings: object):
    """The same through kind translations."""
    languages = {
        lang: {
            "collection": {"kind": "beir", "path": folder, "qrels": {"test": f"{lang}-{lang}"}},
            "prefix": f"{lang}-",
        }
        for lang in ("en", "de")
    }
    told = {"languages": languages, "queries": "en", "documents": "en", **settings}
    return Translations(**told).open(cache)


def test_a_line_tells_its_language_and_a_folder_that_is_written_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    write_documents(tmp_path / "one", [Document("d1", "eins", language="de"), Document("d2", "one")])
    write_queries(tmp_path / "one", [Query("q1", "zwei", "de"), Query("q2", "two")])
    write_qrels(tmp_path / "one", {"test": [("q1", "d1", 1), ("q2", "d2", 1)]})
    assert (tmp_path / "one" / "queries.jsonl").read_text().splitlines()[1] == '{"_id": "q2", "text": "two"}'
    collection = Beir(path=tmp_path / "one").open(tmp_path / "cache")
    assert [d.language for d in collection.documents()] == ["de", None]
    assert [d.language for d in collection.documents_by_id(["d2", "d1"])] == [None, "de"]
    assert [q.language for q in collection.queries("test")] == ["de", None]


@pytest.mark.parametrize("key", ["lang", "language"])
def test_both_keys_are_read(tmp_path: Path, key: str) -> None:
    folder = beir(tmp_path / "c", {"d": "x"}, {"q": "y"}, {"test": {"q": {"d": 1}}})
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "x", key: "fr"}) + "\n")
    assert next(Beir(path=folder).open(tmp_path / "cache").documents()).language == "fr"
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d", "text": "x", key: 5}) + "\n")
    with pytest.raises(DataError, match=rf'"{key}" is not a string\n  where: .*corpus.jsonl, line 1\n  seen: 5'):
        list(Beir(path=folder).open(tmp_path / "cache").documents())


def test_an_id_can_tell_the_language(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "c")
    plain, told = (Beir(path=folder, id_language=each).open(tmp_path / "cache") for each in (None, "^(..)-"))
    assert {d.language for d in plain.documents()} == {None}
    assert [d.language for d in told.documents(2, 4)] == ["en", "de"]
    assert [d.language for d in told.documents_by_id(["de-p1"])] == ["de"]
    assert {q.language for q in told.queries("de-de")} == {"de"}
    assert plain.digest != told.digest


@pytest.mark.parametrize(("pattern", "told"), [("^..-", "the expression has no group"), ("(", "no regular expression")])
def test_a_pattern_without_a_group_is_refused(pattern: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Beir(path="x", id_language=pattern)  # type: ignore[arg-type]


def test_a_miner_brings_documents_in_one_language(inputs: MakeInputs, tmp_path: Path) -> None:
    given = inputs(collection=Beir(path=mixed(tmp_path / "c"), id_language="^(..)-").open(tmp_path / "cache"))
    for language, count in (("de", 3), ("fr", 0)):
        miner = RandomMiner(depth=6, language=language)
        found = miner.mine([Query("a", ""), Query("b", "")], given, miner.prepare(given))
        assert [len(ranking.doc_ids) for ranking in found] == [count, count]
        assert all(doc_id.startswith("de-") for ranking in found for doc_id in ranking.doc_ids)
    both = RandomMiner(depth=6, language="de", doc_id_pattern="[12]$")
    assert sorted(both.mine([Query("a", "")], given, both.prepare(given))[0].doc_ids) == ["de-p1", "de-p2"]
    shallow = RandomMiner(depth=1, skip=1, language="en")
    ranking = shallow.mine([Query("a", "")], given, shallow.prepare(given))[0]
    everything = RandomMiner(depth=3, language="en").mine([Query("a", "")], given, shallow.prepare(given))[0]
    assert ranking.doc_ids == everything.doc_ids[1:2]
    assert np.array_equal(ranking.scores, everything.scores[1:2])


def test_ids_are_shared_and_texts_are_those_of_the_view(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "c")
    for documents in ("en", "de"):
        view = joined(folder, tmp_path / "cache", documents=documents)
        assert [(d.doc_id, d.text, d.language) for d in view.documents()] == [
            (key, texts[documents], documents) for key, texts in TEXTS.items()
        ]
        assert [d.text for d in view.documents(1, 2)] == [TEXTS["p2"][documents]]
        assert [d.text for d in view.documents_by_id(["p3", "p1"])] == [TEXTS[d][documents] for d in ("p3", "p1")]
        assert view.num_documents == 3
        assert view.contains(["p1", "p9"]) == [True, False]
        assert view.qrels("test") == {"q1": {"p1": 1}, "q2": {"p3": 1}}
        assert [(q.query_id, q.text, q.language) for q in view.queries("test")] == [
            (key, texts["en"], "en") for key, texts in ASKED.items()
        ]


def test_languages_of_separate_collections_need_no_prefix(tmp_path: Path) -> None:
    """As mMARCO and neuMARCO come: one file per language, the same ids, in another order."""
    languages = {}
    for lang, order in (("en", ["p1", "p2", "p3"]), ("de", ["p3", "p1", "p2"])):
        documents, queries = {d: TEXTS[d][lang] for d in order}, {q: texts[lang] for q, texts in ASKED.items()}
        qrels = {"test": {q: {d: 1} for q, d in JUDGED.items()}}
        folder = beir(tmp_path / lang, documents, queries, qrels)
        languages[lang] = {"collection": {"kind": "beir", "path": folder}}
    view = Translations(languages=languages, queries="en", documents="de").open(tmp_path / "cache")
    assert [d.text for d in view.documents()] == ["Regen", "eine Katze", "ein Hund"]
    assert [d.text for d in view.documents(1, 2)] == ["eine Katze"]
    assert [d.text for d in view.documents_by_id(["p1", "p3"])] == ["eine Katze", "Regen"]
    assert view.num_documents == 3


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """Captions of two images, told apart by what stands inside of their ids, as in Multi30k's second task."""
    texts = {
        "7#en2": "a cat",
        "7#en3": "some cat",
        "8#en2": "rain",
        "7#de1": "Tier",
        "7#de2": "Katze",
        "8#de2": "Regen",
    }
    judged = {query_id: {query_id[0]: 1} for query_id in texts}
    qrels = {f"dev-{lang}": {key: grades for key, grades in judged.items() if lang in key} for lang in ("en", "de")}
    return beir(tmp_path / "c", {"7": "a cat sits", "8": "it rains"}, texts, qrels)


def captioned(folder: Path, queries: str = "en", german: str = "(.+#)de(.+)"):
    """A view of them through kind translations."""
    languages = {
        lang: {
            "collection": {"kind": "beir", "path": folder, "qrels": {"dev": f"dev-{lang}"}},
            "query_id_pattern": pattern,
        }
        for lang, pattern in (("en", "(.+#)en(.+)"), ("de", german))
    }
    return Translations(languages=languages, queries=queries, documents="en").open(folder.parent / "cache")


def test_query_ids_are_joined_by_what_the_groups_of_a_pattern_hold(captions: Path) -> None:
    english = captioned(captions)
    assert [(q.query_id, q.text) for q in english.queries("dev")] == [
        ("7#2", "a cat"),
        ("7#3", "some cat"),
        ("8#2", "rain"),
    ]
    assert english.qrels("dev") == {"7#2": {"7": 1}, "7#3": {"7": 1}, "8#2": {"8": 1}}
    german = captioned(captions, "de")
    told = [(q.query_id, q.text, q.language) for q in german.queries("dev")]
    assert told == [("7#1", "Tier", "de"), ("7#2", "Katze", "de"), ("8#2", "Regen", "de")]
    assert german.qrels("dev") == {"7#1": {"7": 1}, "7#2": {"7": 1}, "8#2": {"8": 1}}
    twins = captioned(captions, "de", "(.+#)de([2-9])")
    assert [q.query_id for q in twins.queries("dev")] == ["7#2", "8#2"]
    assert len({each.digest for each in (english, german, twins)}) == 3


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(.+#de", "query_id_pattern\n  Value error, not a regular expression: missing"),
        (".+#de.", "query_id_pattern\n  Value error, it has no group: what stands in parentheses is the shared id"),
    ],
)
def test_a_pattern_that_can_join_nothing_is_refused(captions: Path, pattern: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        captioned(captions, german=pattern)


def test_a_pattern_or_prefix_of_no_query_is_told(captions: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        captioned(captions, "de", "(.+#)fr(.+)").queries("dev")
    assert str(error.value) == (
        "no query of the split 'dev' is of the language 'de'\n"
        "  where: collection.languages.de.query_id_pattern\n"
        "  seen: '(.+#)fr(.+)', and 3 queries such as '7#de1'\n"
        "  allowed: what the ids of the language's queries begin with (prefix), or match as a whole (query_id_pattern)\n"
        "  next step: correct it, or give the language's own collection the file of its queries, by `qrels`"
    )
    part = {"collection": {"kind": "beir", "path": captions, "qrels": {"dev": "dev-de"}}, "prefix": "fr-"}
    view = Translations(languages={"de": part}, queries="de", documents="de").open(tmp_path / "cache")
    with pytest.raises(DataError, match=r"languages.de.prefix\n  seen: 'fr-', and 3 queries such as '7#de1'"):
        view.queries("dev")


def test_a_pattern_that_gives_two_queries_one_id_is_told(captions: Path) -> None:
    with pytest.raises(DataError) as error:
        captioned(captions, "de", "(.+)#de.").queries("dev")
    assert str(error.value) == (
        "two queries of one language get one id\n"
        "  where: collection.languages.de\n"
        "  seen: '7#de1' and '7#de2' both become '7'\n"
        "  allowed: a `query_id_pattern` whose groups tell the queries of a language apart\n"
        "  next step: put what differs between them into a group"
    )


def test_each_further_query_language_is_a_split_of_its_own(tmp_path: Path) -> None:
    view = joined(mixed(tmp_path / "c"), tmp_path / "cache", queries=["en", "de"])
    assert view.splits == ("test", "test.de")
    assert [q.text for q in view.queries("test.de")] == [ASKED["q1"]["de"], ASKED["q2"]["de"]]
    assert {q.language for q in view.queries("test.de")} == {"de"}
    assert view.qrels("test.de") == view.qrels("test")
    assert view.describe()["languages"] == {"queries": "en, de", "documents": "en"}


def test_other_languages_of_the_documents_are_reached_by_name(tmp_path: Path) -> None:
    view = joined(mixed(tmp_path / "c"), tmp_path / "cache", documents=["en", "de"])
    assert [d.text for d in view.documents_by_id(["p2"])] == ["a dog"]
    assert [d.text for d in view.in_language("de").documents_by_id(["p2"])] == ["ein Hund"]
    with pytest.raises(DataError) as error:
        view.in_language("fr")
    assert str(error.value) == (
        "the collection's documents are not read in 'fr'\n"
        "  where: collection.documents\n"
        "  seen: en, de\n"
        "  allowed: en, de\n"
        "  next step: add fr to `documents` of the collection or view that the stage reads"
    )
    with pytest.raises(DataError, match="each document in one language alone\n  where: collection of kind beir"):
        Beir(path=tmp_path / "c").open(tmp_path / "cache").in_language("de")


def test_views_have_digests_of_their_own_and_unread_languages_do_not_count(tmp_path: Path) -> None:
    folder, cache = mixed(tmp_path / "c"), tmp_path / "cache"
    english, german = joined(folder, cache), joined(folder, cache, documents="de")
    assert len({english.digest, german.digest, joined(folder, cache, queries="de").digest}) == 3
    assert english.digest == joined(folder, tmp_path / "other-cache").digest
    alone = Translations(
        languages={"en": {"collection": {"kind": "beir", "path": folder, "qrels": {"test": "en-en"}}, "prefix": "en-"}},
        queries="en",
        documents="en",
    )
    assert alone.open(cache).digest == english.digest


def test_a_query_without_a_translation_is_an_error(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "c")
    kept = [line for line in (folder / "queries.jsonl").read_text().splitlines() if "de-q2" not in line]
    (folder / "queries.jsonl").write_text("\n".join(kept) + "\n")
    rows = (folder / "qrels" / "de-de.tsv").read_text().splitlines()[:2]
    (folder / "qrels" / "de-de.tsv").write_text("\n".join(rows) + "\n")
    view = joined(folder, tmp_path / "cache", queries=["en", "de"])
    with pytest.raises(DataError) as error:
        view.queries("test.de")
    assert str(error.value) == (
        "1 of the queries have no translation\n"
        "  where: split test.de, language de\n"
        "  seen: 'q2'\n"
        "  allowed: the ids of the en queries\n"
        "  next step: leave de out of `queries`, or complete its query file"
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"documents": "fr"}, "`documents` names 'fr'; `languages` has en, de"),
        ({"queries": ["en", "en"]}, "`queries` names a language twice"),
        ({"cut": {"split": "test", "shares": {"train": 0.5, "test": 0.4}}}, "these add up to 0.9"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        joined(tmp_path / "c", tmp_path / "cache", **settings)


def test_a_sample_of_one_language_is_refused(tmp_path: Path) -> None:
    languages = {"en": {"collection": {"kind": "beir", "path": tmp_path, "sample": {"test": 1}}}}
    with pytest.raises(ValidationError, match="here each language would draw its own"):
        Translations(languages=languages, queries="en", documents="en")


def test_a_cut_parts_queries_by_document(tmp_path: Path) -> None:
    qrels = {f"q{n}": {f"d{n // 3}": 1} for n in range(300)}
    queries = [Query(f"q{n}", "") for n in range(300)]
    cut = Cut(split="test", shares={"train": 0.6, "dev": 0.1, "test": 0.3})
    parts = {name: [q.query_id for q in cut.queries(name, queries, qrels)] for name in cut.shares}
    assert sorted(query_id for ids in parts.values() for query_id in ids) == sorted(qrels)
    documents = {name: {d for q in ids for d in qrels[q]} for name, ids in parts.items()}
    assert documents["train"].isdisjoint(documents["test"] | documents["dev"])
    assert documents["train"] == {f"d{n}" for n in range(100) if place_of(f"d{n}") < 0.6}
    assert 45 < len(documents["train"]) < 75


def test_a_cut_collection_has_its_splits_in_every_language(tmp_path: Path) -> None:
    cut = {"split": "test", "shares": {"train": 0.5, "test": 0.5}}
    view = joined(mixed(tmp_path / "c"), tmp_path / "cache", queries=["en", "de"], cut=cut)
    assert view.splits == ("train", "test", "train.de", "test.de")
    sides = {q: "train" if place_of(d) < 0.5 else "test" for q, d in JUDGED.items()}
    for split in ("train", "test"):
        wanted = [q for q, side in sides.items() if side == split]
        if wanted:
            assert [q.query_id for q in view.queries(split)] == wanted
            assert [q.text for q in view.queries(f"{split}.de")] == [ASKED[q]["de"] for q in wanted]
        assert sorted(view.qrels(split)) == wanted


def test_the_real_one_is_cut_alike_in_twelve_languages(real_data: Path, tmp_path: Path) -> None:
    source = {"kind": "beir", "path": real_data / "xquad-clir"}
    codes = ["en", "ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"]
    languages = {
        lang: {"collection": {**source, "qrels": {"all": f"{lang}-{lang}"}}, "prefix": f"{lang}-"} for lang in codes
    }
    cut = {"split": "all", "shares": {"train": 0.6, "dev": 0.1, "test": 0.3}}
    view = Translations(languages=languages, queries=codes, documents=codes, cut=cut).open(tmp_path / "cache")
    assert view.num_documents == 240
    assert sum(len(view.queries(split)) for split in ("train", "dev", "test")) == 1190
    english, thai = view.queries("test"), view.queries("test.th")
    assert [q.query_id for q in english] == [q.query_id for q in thai]
    assert english[0].text != thai[0].text
    tested = {d for grades in view.qrels("test").values() for d in grades}
    trained = {d for grades in view.qrels("train").values() for d in grades}
    assert tested.isdisjoint(trained)
    assert [d.doc_id for d in view.in_language("zh").documents()] == [d.doc_id for d in view.documents()]


def test_a_split_that_the_first_language_lacks_is_none_of_the_collection(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "c")
    judged = {"en": {"test": "en-en"}, "de": {"test": "de-de", "train": "de-de"}}
    languages = {
        lang: {"collection": {"kind": "beir", "path": folder, "qrels": qrels}, "prefix": f"{lang}-"}
        for lang, qrels in judged.items()
    }
    collection = Translations(languages=languages, queries=["en", "de"], documents="en").open(tmp_path / "cache")
    assert collection.splits == ("test", "test.de")
    assert all(collection.queries(split) for split in collection.splits)
    assert collection.describe()


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [({"language": "fr"}, "language fr"), ({"doc_id_pattern": "^fr-"}, "doc_id_pattern ^fr-")],
)
def test_a_filter_that_leaves_no_document_is_told_before_anything_is_mined(
    tmp_path: Path, wanted: dict[str, str], seen: str
) -> None:
    collection = Beir(path=mixed(tmp_path / "mixed"), id_language="^(..)-").open(tmp_path / "cache")
    inside = {"kind": "fused", "miners": [{"kind": "bm25"}, {"kind": "random", **wanted}]}
    for miner in (RandomMiner(**wanted), Fused(**inside)):
        with pytest.raises(DataError) as error:
            miner.require_documents(collection)
        assert error.value.what == "no document of the collection may stay, so the miner would find nothing"
        assert (error.value.where, error.value.seen) == ("miner random", seen)
        assert str(error.value.allowed).startswith("languages de, en; ids such as ")
    RandomMiner(language="de", doc_id_pattern="p2$").require_documents(collection)


def test_a_language_is_asked_of_a_collection_that_tells_none(inputs: MakeInputs, tmp_path: Path) -> None:
    config = Config(miner=RandomMiner(language="de"))
    with pytest.raises(DataError, match="languages none: no document tells its language"):
        run(config, inputs(), tmp_path / "out")
