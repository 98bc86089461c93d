"""The sizes and speeds that exports, indexes, trainings and evaluations report, in plain words."""

from collections.abc import Iterator, Mapping
from typing import Any

from retkd.reporting.costs import leaves
from retkd.reporting.figures import percent, plain
from retkd.reporting.labels import label, spaced

SPEAKING = ("export", "index", "evaluate", "train", "teach", "rank_students")
"""Kinds whose timings and values are told."""
OF_ONE = {
    " encode ms per query": "ms to encode a query",
    " search ms per query": "ms to search with a query",
    " ms per single query": "ms to encode a single query",
    " queries per second": "queries encoded per second",
    " documents per second": "documents encoded per second",
}
"""How a timing that begins with whose it is ends, and what it tells."""
ALONE = {
    "dim": "dimensions",
    "trained on": "vectors that it was trained on",
    "encode": "time to encode the documents",
    "build": "time to build the index",
    "recall": "time to measure its recall",
}
SAMPLED = (
    "Parity is measured on the queries and documents that are named here, a sample: its measures are not those of the "
    "evaluation, which searches the whole collection."
)


def sizes_and_speeds(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """stage -> ``{facts: [(what, value)], note}`` for the stages that say how big or how fast something is."""
    told = {}
    for name, manifest in manifests.items():
        if manifest.get("kind") in SPEAKING:
            values = dict(manifest.get("metrics") or {})
            if manifest["kind"] == "evaluate":
                values = {name: value for name, value in values.items() if name == "sparsity"}
            parity = values.pop("parity", {})
            found = [*leaves(values), *leaves(manifest.get("timings") or {})]
            facts = [*parity_facts(parity), *((in_words(words), value) for words, value in found)]
            if facts:
                told[name] = {"facts": facts, "note": SAMPLED if parity else ""}
    return told


def parity_facts(parity: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What was compared of each export, and how near it is to the model.

    >>> of = {"queries": 64, "documents": 110, "min_cosine": 1.0, "max_difference": 0.0, "top10_overlap": 0.995}
    >>> facts = parity_facts({"onnx": {**of, "measures": {"nDCG@10": {"model": 0.75, "export": 0.74}}}})
    >>> [": ".join(fact) for fact in facts][-2:]
    ['nDCG@10 of the model, 64 queries: 0.75', 'nDCG@10 of onnx, 64 queries: 0.74']
    """
    for kind, told in parity.items():
        name, queries = spaced(kind), f"{told['queries']:,} queries"
        yield f"{name} is compared on", f"{queries}, {told['documents']:,} documents"
        yield f"lowest cosine, {name} to model", plain(told["min_cosine"])
        yield f"greatest difference, {name} to model", plain(told["max_difference"])
        yield f"ten best in common, {name} and model", percent(told["top10_overlap"], 1)
        for measure, of in told["measures"].items():
            yield f"{measure} of the model, {queries}", plain(of["model"])
            yield f"{measure} of {name}, {queries}", plain(of["export"])


def in_words(told: str) -> str:
    """A fact's key, as :func:`retkd.reporting.costs.leaves` writes it, in plain words.

    >>> in_words("control.search ms per query"), in_words("sizes · onnx"), in_words("dim")
    ('contrastive control: ms to search with a query', 'size of onnx', 'dimensions')
    >>> in_words("sparsity · test · student · active terms per query")
    'active terms per query, distilled student on test'
    """
    if told.startswith("sizes · "):
        return f"size of {told.removeprefix('sizes · ')}"
    if told.startswith("sparsity · "):
        split, system, what = told.split(" · ")[1:]
        return f"{what}, {label(system)} on {split}"
    for ending, words in OF_ONE.items():
        whose, found, _ = told.replace(".", " ").rpartition(ending)
        if found:
            return f"{spaced(label(whose.replace(' ', '_')))}: {words}"
    return ALONE.get(told, told)
