"""A smaller collection to evaluate many students on: the dev queries and a part of the corpus that holds all that is hard."""

import csv
import json
from pathlib import Path

from retkd.shards import atomic

ONE_IN = 4


def made_pool(source: Path, folder: Path, split: str = "dev") -> Path:
    """Write a BEIR folder: what is judged for a query of the split, its BM25 candidates, and every fourth other document."""
    with (source / "qrels" / f"{split}.tsv").open(encoding="utf-8", newline="") as lines:
        judged = list(csv.DictReader(lines, delimiter="\t"))
    queries = {row["query-id"] for row in judged}
    kept = {row["corpus-id"] for row in judged}
    with (source / "bm25.candidates.tsv").open(encoding="utf-8", newline="") as lines:
        kept |= {row["corpus-id"] for row in csv.DictReader(lines, delimiter="\t") if row["query-id"] in queries}
    corpus = (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    asked = (source / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    others = [line for line in corpus if json.loads(line)["_id"] not in kept]
    chosen = {line for line in corpus if json.loads(line)["_id"] in kept} | set(others[::ONE_IN])
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    _write(folder / "corpus.jsonl", [line for line in corpus if line in chosen])
    _write(folder / "queries.jsonl", [line for line in asked if json.loads(line)["_id"] in queries])
    _write(
        folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *("\t".join(row.values()) for row in judged)]
    )
    return folder


def _write(path: Path, lines: list[str]) -> None:
    with atomic(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
