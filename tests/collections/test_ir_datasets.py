"""The ir_datasets catalogue, offline, through small datasets that are registered here."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from retkd.collections.base import Document, Query
from retkd.collections.ir_datasets import IrDatasets
from retkd.errors import DataError

catalogue = pytest.importorskip("ir_datasets")


class TitledDoc(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


def register(name, folder, **kinds):
    """Register a dataset over local files under ``name`` and take it out again with ``forget``."""
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload

    folder.mkdir(exist_ok=True)
    parts = []
    for kind, text in kinds.items():
        file = folder / f"{kind}.tsv"
        file.write_text(text)
        source = LocalDownload(file)
        if kind == "docs":
            parts.append(TsvDocs(source, doc_cls=TitledDoc))
        else:
            parts.append(TsvQueries(source) if kind == "queries" else TrecQrels(source, {}))
    catalogue.registry.register(name, catalogue.Dataset(*parts))


@pytest.fixture
def local(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue.registry, "_registered", dict(catalogue.registry._registered))
    docs = "".join(f"d{n}\tTitle {n}\tText {n}\n" for n in range(20))
    register("local", tmp_path / "docs", docs=docs)
    register("local/train", tmp_path / "train", queries="q1\tone\nq2\ttwo\n", qrels="q1 0 d3 1\nq2 0 d0 0\nq1 0 d4 2\n")
    return IrDatasets(id="local", splits={"train": "local/train"})


def test_documents_queries_and_judgements(local, cache):
    collection = local.open(cache)
    assert collection.splits == ("train",)
    assert collection.num_documents == 20
    streamed = list(collection.documents())
    assert streamed[3] == Document("d3", "Text 3", "Title 3")
    assert collection.queries("train") == [Query("q1", "one"), Query("q2", "two")]
    assert collection.qrels("train") == {"q1": {"d3": 1, "d4": 2}, "q2": {"d0": 0}}
    assert list(collection.documents(5, 8)) == streamed[5:8]
    assert list(collection.documents(18)) == streamed[18:]
    assert list(collection.documents_by_id(d.doc_id for d in reversed(streamed))) == streamed[::-1]
    assert collection.contains(["no such id", streamed[0].doc_id]) == [False, True]


def test_fields_are_chosen(local, cache):
    chosen = local.model_copy(update={"text_field": "title"})
    assert next(chosen.open(cache).documents()) == Document("d0", "Title 0")
    assert chosen.open(cache).digest != local.open(cache).digest
    with pytest.raises(
        DataError, match=r"collection.text_field names a field that the records lack\n.*\n.*did you mean 'text'"
    ):
        next(local.model_copy(update={"text_field": "texts"}).open(cache).documents())


def test_digest_of_a_registered_dataset_follows_its_files(local, cache, tmp_path):
    digest = local.open(cache).digest
    assert local.open(cache).digest == digest
    with (tmp_path / "train" / "qrels.tsv").open("a") as qrels:
        qrels.write("q2 0 d1 1\n")
    assert local.open(cache).digest != digest


def test_errors_name_ids_and_datasets(local, cache):
    with pytest.raises(
        DataError, match=r"1 document id is not in the collection\n  where: ir_datasets local\n  seen: 'x'"
    ):
        list(local.open(cache).documents_by_id(["d1", "x"]))
    with pytest.raises(DataError, match=r"has no dataset 'vaswanni'\n(.*\n)*  next step: did you mean 'vaswani'"):
        assert IrDatasets(id="vaswanni", splits={"test": "vaswani"}).open(cache).num_documents
    with pytest.raises(DataError, match=r"the dataset 'local/train' has no docs\n.*\n  seen: queries, qrels"):
        assert IrDatasets(id="local/train", splits={"train": "local/train"}).open(cache).num_documents


def test_a_catalogue_digest_needs_no_download_and_the_second_no_import(cache):
    code = (
        "import json, pathlib, sys\n"
        "from retkd.collections.ir_datasets import IrDatasets\n"
        "config = IrDatasets(id='msmarco-passage', splits={'train': 'msmarco-passage/train/judged'})\n"
        f"digest = config.open(pathlib.Path({str(cache)!r})).digest\n"
        "print(json.dumps([digest, 'ir_datasets' in sys.modules]))\n"
    )
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert [imported for _, imported in runs] == [True, False]
