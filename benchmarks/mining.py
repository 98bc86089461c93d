"""Mining hard negatives: retkd's mine stage against sentence-transformers' ``mine_hard_negatives``.

Each run is a process of its own, so that its peak memory is its own. The encoder is a real one that costs almost nothing:
the mean of the model's word embeddings.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import Contender, Outcome, Subject, interleaved
from benchmarks.setting import ROOT, Setting

NEGATIVES = 100
TOLERANCE = 1e-5
MEMORY_MIB = 64
AS_CALLED = "mine_hard_negatives, triplets"
PEERS: dict[str, dict[str, Any]] = {
    AS_CALLED: {},
    "n-tuples, FAISS, batch 1024": {"output_format": "n-tuple", "use_faiss": True, "batch_size": 1024},
    "n-tuples, 256 queries at once, batch 1024": {
        "output_format": "n-tuple",
        "faiss_batch_size": 256,
        "batch_size": 1024,
    },
}
OURS = "retkd mine, dense"
PIECES = (1, 2, 3, 4)
"""A passage whole, in halves, in thirds, in quarters: ten real texts."""


def measure(setting: Setting) -> dict[str, Any]:
    """100 negatives for each query: the nearest documents that are not its positive."""
    work = setting.work / "mining"
    folder, model = made_collection(setting, work / "collection"), static_encoder(setting.model, work / "model")
    contenders = [
        Contender(
            name,
            partial(_in_a_process, name, folder, model, work),
            ours=name == OURS,
            as_called=name == AS_CALLED,
        )
        for name in (OURS, *PEERS)
    ]
    queries, documents = setting.sizes.mining_queries, setting.sizes.mining_documents
    dim = json.loads((model / "dim.json").read_text())
    gflop = 2.0 * queries * documents * dim / 1e9
    facts: dict[str, Any] = {"documents": documents, "negatives_per_query": NEGATIVES, "dim": dim}
    subject = Subject(
        "mining",
        "queries",
        queries,
        gflop,
        TOLERANCE,
        facts,
        as_called_goal=False,
        share_goal=None,
        warm_up=False,
        memory_goal=(3.0, 4.0),
    )
    return interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)


def made_collection(setting: Setting, folder: Path) -> Path:
    """A BEIR folder: pieces of the passages as documents; as queries the first quarters of passages that are documents."""
    if folder.exists():
        return folder
    (folder / "qrels").mkdir(parents=True)
    queries, documents = setting.sizes.mining_queries, setting.sizes.mining_documents
    passages = sorted({document.full_text for document in setting.collection.documents()})
    step = max(len(passages) // queries, 1)
    asked = {passage: pieces(passage, 4)[0] for passage in passages[::step][:queries]}
    others = [passage for passage in passages if passage not in asked]
    texts = list(islice(_distinct([*asked, *others], set(asked.values())), documents))
    if len(asked) < queries or len(texts) < documents:
        raise ValueError(f"the collection gives {len(asked)} queries and {len(texts)} documents, fewer than asked for")
    number = {text: row for row, text in enumerate(texts)}
    _write(folder / "corpus.jsonl", ({"_id": f"d{row}", "text": text} for row, text in enumerate(texts)))
    _write(folder / "queries.jsonl", ({"_id": f"q{row}", "text": text} for row, text in enumerate(asked.values())))
    lines = [f"q{row}\td{number[passage]}\t1\n" for row, passage in enumerate(asked)]
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def _distinct(passages: Sequence[str], left_out: set[str]) -> Iterator[str]:
    """Whole passages in their order, then smaller and smaller pieces; each text once."""
    seen = set(left_out)
    for number in PIECES:
        for passage in passages:
            for piece in pieces(passage, number):
                if piece not in seen:
                    seen.add(piece)
                    yield piece


def pieces(text: str, number: int) -> list[str]:
    """The text's words in ``number`` parts of nearly the same length; empty ones are left out.

    >>> pieces("a b c d e", 2), pieces("a", 2)
    (['a b', 'c d e'], ['a'])
    """
    words = text.split()
    cuts = [len(words) * part // number for part in range(number + 1)]
    parts = [" ".join(words[start:stop]) for start, stop in pairwise(cuts)]
    return [part for part in parts if part] if number > 1 else [text]


def _write(path: Path, rows: Iterator[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def static_encoder(model: Path, folder: Path) -> Path:
    """Save the word embeddings of a text encoder as one of their mean, normalised; the folder."""
    if folder.exists():
        return folder
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    whole = SentenceTransformer(str(model), device="cpu")
    weights = whole[0].auto_model.get_input_embeddings().weight.detach().numpy()
    static = SentenceTransformer(modules=[StaticEmbedding(whole.tokenizer, weights), Normalize()], device="cpu")
    static.save_pretrained(str(folder), create_model_card=False)
    (folder / "dim.json").write_text(json.dumps(weights.shape[1]))
    return folder


def _in_a_process(name: str, folder: Path, model: Path, work: Path) -> Outcome:
    """Run this file for one contender; its scores, seconds and peak."""
    out = work / "result.npz"
    command = [sys.executable, str(Path(__file__).resolve()), name, str(folder), str(model), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"{name} failed: {ended.stderr[-2000:]}")
    with np.load(out) as told:
        return Outcome(told["scores"], *(float(told[name]) for name in ("seconds", "peak_mib", "added_mib")))


def main(name: str, folder: Path, model: Path, out: Path) -> None:
    """Mine as one contender, from loaded packages and opened texts to the finished table; then look at what it found."""
    import tempfile
    import time

    import datasets  # noqa: F401 - both need it, and it is not what is measured
    import sentence_transformers  # noqa: F401

    from retkd.resources import measured

    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        job = prepared(name, folder, model, Path(scratch))
        with measured() as before:
            pass
        with measured() as cost:
            began = time.perf_counter()
            read = job()
            seconds = time.perf_counter() - began
        doc_ids = read()
    np.savez(
        out,
        scores=scores_of(doc_ids, folder, model),
        seconds=seconds,
        peak_mib=cost.peak_memory_mib,
        added_mib=cost.peak_memory_mib - before.peak_memory_mib,
    )


def prepared(name: str, folder: Path, model: Path, scratch: Path) -> Callable[[], Callable[[], list[list[str]]]]:
    """What mines; it gives back what reads the document ids of each query's negatives, best first, queries by their id."""
    return _ours(folder, model, scratch) if name == OURS else _theirs(folder, model, PEERS[name])


def _ours(folder: Path, model: Path, scratch: Path) -> Callable[[], Callable[[], list[list[str]]]]:
    from retkd import candidates
    from retkd.collections.beir import Beir
    from retkd.digests import FileDigests
    from retkd.miners.dense import DenseMiner
    from retkd.stage import Inputs, Model, Runtime
    from retkd.stages import mine

    digest = FileDigests(scratch / "digests.json").model(model)
    runtime = Runtime(device="cpu", memory_mib=MEMORY_MIB)
    models = {"static": Model("static", model, digest)}
    collection = Beir(path=folder).open(scratch / "cache")
    collection.qrels("train")  # reads and indexes the files, as the texts of the peer are read before it begins
    inputs = Inputs(collection, {}, models, {}, 0, runtime, scratch / "store", "0" * 64)
    config = mine.Config(miner=DenseMiner(model="static", depth=NEGATIVES + 1), splits=["train"], add_positives=[])

    def read() -> list[list[str]]:
        rows = candidates.read(scratch / "out" / "train")
        ids, judged = rows["doc_id"].to_pylist(), rows["relevance"].to_pylist()
        return [
            [ids[row] for row in range(start, stop) if not judged[row]][:NEGATIVES]
            for _, start, stop in candidates.groups(rows)
        ]

    def job() -> Callable[[], list[list[str]]]:
        mine.run(config, inputs, scratch / "out")
        return read

    return job


def _theirs(folder: Path, model: Path, options: dict[str, Any]) -> Callable[[], Callable[[], list[list[str]]]]:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    documents, queries, positives = _texts(folder)
    order = sorted(queries)
    pairs = {"query": [queries[q] for q in order], "positive": [documents[positives[q]] for q in order]}
    corpus, dataset = list(documents.values()), Dataset.from_dict(pairs)

    def job() -> Callable[[], list[list[str]]]:
        loaded = SentenceTransformer(str(model), device="cpu")
        mined = mine_hard_negatives(dataset, loaded, corpus=corpus, num_negatives=NEGATIVES, verbose=False, **options)
        return partial(_ids_of, mined, documents, pairs["query"])

    return job


def _ids_of(mined: Any, documents: dict[str, str], queries: list[str]) -> list[list[str]]:
    """Both of their formats as document ids."""
    id_of = {text: doc_id for doc_id, text in documents.items()}
    found: dict[str, list[str]] = {query: [] for query in queries}
    columns = [name for name in mined.column_names if name.startswith("negative")]
    for row in mined:
        found[row["query"]] += [id_of[row[name]] for name in columns]
    return list(found.values())


def _texts(folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Documents and queries by id, and each query's positive."""
    texts = []
    for name in ("corpus", "queries"):
        with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
            texts.append({row["_id"]: row["text"] for row in map(json.loads, lines)})
    rows = [line.split("\t") for line in (folder / "qrels" / "train.tsv").read_text().splitlines()[1:]]
    return texts[0], texts[1], {query_id: doc_id for query_id, doc_id, _ in rows}


def scores_of(doc_ids: list[list[str]], folder: Path, model: Path) -> np.ndarray:
    """Similarities ``[query, negative]`` of what was found, by the same encoder for every contender: equal but for ties.

    Fewer negatives than asked for, a repeated one, or the query's positive among them, is an error.
    """
    from sentence_transformers import SentenceTransformer

    documents, queries, positives = _texts(folder)
    order = sorted(queries)
    for query_id, found in zip(order, doc_ids, strict=True):
        if len(set(found)) != NEGATIVES or positives[query_id] in found:
            raise ValueError(
                f"{query_id}: {len(set(found))} negatives; its positive among them: {positives[query_id] in found}"
            )
    wanted = sorted({doc_id for found in doc_ids for doc_id in found})
    row = {doc_id: at for at, doc_id in enumerate(wanted)}
    loaded = SentenceTransformer(str(model), device="cpu")
    vectors = loaded.encode_document([documents[doc_id] for doc_id in wanted])
    asked = loaded.encode_query([queries[query_id] for query_id in order])
    return np.stack([vectors[[row[d] for d in found]] @ query for found, query in zip(doc_ids, asked, strict=True)])


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
