"""NeMo Retriever and NeMo AutoModel: ``train.json`` of ids beside a ``corpus/`` folder of texts.

The JSON holds ``corpus`` (paths, relative to it) and ``data`` of ``question_id``, ``question``, ``corpus_id``, ``pos_doc`` and
``neg_doc`` (each a list of ``{"id": ...}``); the corpus is ``train.parquet`` (id, text) and ``merlin_metadata.json``. Its loader
keeps the id of a document and drops the rest, so that the ``score`` beside it only serves the way back.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retkd.collections.lines import shown
from retkd.errors import DataError
from retkd.formats.base import Format, ListDocument, TrainingList, field, finite, records, write_table

TRAIN, CORPUS, METADATA = "train.json", "corpus", "merlin_metadata.json"


def read(path: Path) -> Iterator[TrainingList]:
    """The lists of such a folder, with texts, or of its JSON file alone, without."""
    file = path / TRAIN if path.is_dir() else path
    texts = dict(_texts(path / CORPUS / "train.parquet")) if path.is_dir() else {}
    for number, item in enumerate(field(_json(file), "data", str(file), list, "a list of questions"), 1):
        where = f"{file}, data[{number - 1}]"
        question = field(item, "question", where, str, "the text of the query")
        documents = [d for side in ("pos_doc", "neg_doc") for d in _documents(item, side, where, texts)]
        query_id = str(field(item, "question_id", where, (str, int), "an id"))
        yield TrainingList(where, query_id, question, tuple(documents))


def _json(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("there is no such file", where=path) from None
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", where=path, seen=error, allowed="JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise DataError(f"the file is not JSON: {error.msg}", where=f"{path}, line {error.lineno}") from None
    if not isinstance(whole, dict):
        raise DataError(
            "the file is not a JSON object", where=path, seen=shown(whole), allowed='{"corpus": ..., "data": ...}'
        )
    return whole


def _documents(item: dict[str, Any], side: str, where: str, texts: dict[str, str]) -> Iterator[ListDocument]:
    for each in field(item, side, where, list, 'a list of {"id": ...}'):
        told = each if isinstance(each, dict) else {"id": each}
        doc_id = str(field(told, "id", f"{where}, {side}", (str, int), "an id"))
        score = finite(told["score"], "score", f"{where}, {side}") if told.get("score") is not None else None
        yield ListDocument(doc_id, texts.get(doc_id), side == "pos_doc", score)


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    for where, record in records(path):
        yield str(record.get("id")), field(record, "text", where, str, "a text")


def write(lists: Iterable[TrainingList], folder: Path) -> None:
    """Fill the folder; the corpus holds every document that a list names, once."""
    documents: dict[str, str] = {}
    (folder / CORPUS).mkdir()
    with (folder / TRAIN).open("w", encoding="utf-8") as out:
        out.write('{"corpus": [{"path": "corpus"}],\n "data": [')
        for number, each in enumerate(lists):
            documents |= {str(document.doc_id): str(document.text) for document in each.documents}
            out.write((",\n  " if number else "\n  ") + json.dumps(_item(each), ensure_ascii=False))
        out.write("\n]}\n")
    rows = ({"id": doc_id, "text": text} for doc_id, text in documents.items())
    write_table(rows, {"id": "string", "text": "string"}, folder / CORPUS / "train.parquet")
    metadata = {"class": "TextQADataset", "corpus_id": CORPUS}
    (folder / CORPUS / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


def _item(each: TrainingList) -> dict[str, Any]:
    return {
        "question_id": each.query_id,
        "question": each.query,
        "corpus_id": CORPUS,
        "pos_doc": [_named(document) for document in each.positives],
        "neg_doc": [_named(document) for document in each.negatives],
    }


def _named(document: ListDocument) -> dict[str, Any]:
    return {"id": document.doc_id} if document.score is None else {"id": document.doc_id, "score": document.score}


NEMO = Format(
    name="nemo",
    tool="NeMo Retriever and NeMo AutoModel: make_retrieval_dataset",
    suffix="",
    loses="scores in the tool itself (its loader drops them), grades above 1, unjudged against judged not relevant",
    needs=frozenset({"positives", "negatives"}),
    read=read,
    write=write,
)
