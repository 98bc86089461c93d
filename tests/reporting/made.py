"""A made-up run with plausible numbers: a small code search over the standard library, five systems, two splits.

The evaluation in it is real: :mod:`retkd.stages.evaluate` measures run files that are drawn at random, each with
the positive placed by the system's quality.
"""

import inspect
import json
import textwrap
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from retkd import trec
from retkd.collections.beir import Beir
from retkd.digests import digest_of
from retkd.stage import Inputs, Metrics, Runtime
from retkd.stages import evaluate

MODULES = [
    "argparse",
    "ast",
    "base64",
    "bisect",
    "calendar",
    "codecs",
    "collections",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "email.message",
    "fractions",
    "ftplib",
    "functools",
    "gettext",
    "glob",
    "gzip",
    "heapq",
    "imaplib",
    "inspect",
    "ipaddress",
    "json",
    "locale",
    "mailbox",
    "ntpath",
    "optparse",
    "os",
    "pathlib",
    "pickle",
    "platform",
    "plistlib",
    "posixpath",
    "pprint",
    "random",
    "shlex",
    "shutil",
    "smtplib",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "tokenize",
    "traceback",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "weakref",
    "zipfile",
]
NUM_FUNCTIONS = 420
QUALITY = {"bm25": -1.75, "zero_shot": -1.4, "control": -0.95, "teacher": -0.1, "student": -0.45}
"""Log-odds of putting the positive first on a query of middling ease."""
SPLITS = {"dev": 80, "test": 200}
SYSTEMS: dict[str, Any] = {
    "bm25": {"kind": "candidates", "candidates": "bm25"},
    "zero_shot": {"kind": "dense", "model": "zero_shot", "index": "zero_shot_index"},
    "control": {"kind": "dense", "model": "control", "index": "control_index"},
    "teacher": {"kind": "rerank", "candidates": "score", "teacher": "ce"},
    "student": {"kind": "dense", "model": "train", "index": "index"},
}
VERSIONS = {
    "python": "3.11.7",
    "retkd": "0.1.0",
    "torch": "2.13.0",
    "sentence-transformers": "6.2.0",
    "ir-measures": "0.4.3",
}


def functions() -> Iterator[tuple[str, str, str]]:
    """(id, first paragraph of the docstring, source without it) of documented functions of the standard library."""
    seen: set[str] = set()
    for name in MODULES:
        module = import_module(name)
        holders = [(name, module), *((f"{name}.{n}", c) for n, c in inspect.getmembers(module, inspect.isclass))]
        for path, holder in holders:
            for own, function in inspect.getmembers(holder, inspect.isfunction):
                sentence = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
                if function.__module__ != name or sentence in seen or len(sentence.split()) < 5:
                    continue
                if Path(function.__code__.co_filename).exists():
                    seen.add(sentence)
                    source = textwrap.dedent(inspect.getsource(function)).replace(function.__doc__ or "\0", "")
                    yield f"{path}.{own}", sentence, source.replace('""""""', "").strip()


def collection(folder: Path):
    """A BEIR folder of those functions, opened."""
    found = list(islice(functions(), NUM_FUNCTIONS))
    folder.mkdir(parents=True)
    rows = [{"_id": name, "title": "", "text": source} for name, _, source in found]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = [{"_id": f"q{n}", "text": text} for n, (_, text, _) in enumerate(found)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (folder / "qrels").mkdir()
    start = 0
    for split, count in SPLITS.items():
        lines = [f"q{n}\t{found[n][0]}\t1\n" for n in range(start, start + count)]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
        start += count
    cache = folder.parent / "cache"
    cache.mkdir()
    return Beir(path=folder).open(cache)


def write_runs(made: Any, out: Path, seed: int = 0) -> None:
    """Run files of every system: hard queries are hard for all, better systems rank the positive higher."""
    rng = np.random.default_rng(seed)
    doc_ids = np.array([document.doc_id for document in made.documents()])
    for split in SPLITS:
        qrels = made.qrels(split)
        ease = {query_id: 2.0 * rng.normal() for query_id in qrels}
        for system, quality in QUALITY.items():
            run = {q: ranking(rng, doc_ids, next(iter(d)), quality + ease[q]) for q, d in qrels.items()}
            trec.write_run(run, out / "runs" / split / f"{system}.run.gz", system)


def ranking(rng: np.random.Generator, doc_ids: np.ndarray, positive: str, log_odds: float) -> list[tuple[str, float]]:
    """100 documents; the positive is first with those odds, else below, else missing."""
    others = [doc_id for doc_id in rng.choice(doc_ids, 101, replace=False) if doc_id != positive][:99]
    first = 1 / (1 + np.exp(-log_odds))
    rank = min(int(rng.geometric(np.clip(first, 0.01, 0.99))) - 1, 140)
    whole = [*others[:rank], positive, *others[rank:]] if rank < 100 else others
    return list(zip(whole, np.sort(rng.normal(0.35, 0.12, len(whole)))[::-1] + 0.1 * (rank == 0), strict=True))


def evaluation(folder: Path, seed: int = 0, **settings: Any) -> tuple[Any, Metrics]:
    """A real evaluate artifact at ``folder``; the collection and the metrics."""
    made = collection(folder.parent / "collection")
    write_runs(made, folder, seed)
    config = evaluate.Config(**{"systems": SYSTEMS, "splits": ["dev", "test"], "num_resamples": 2000, **settings})
    return made, evaluate.run(config, inputs(made, {}, {}, seed=7), folder)


def inputs(made, artifacts: dict[str, Path], manifests: dict[str, Any], seed: int = 7, **more: Any) -> Inputs:
    """Inputs of a stage."""
    told = {"models": {}, "runtime": Runtime(device="cpu"), "store": Path("store"), "key": "k" * 64, **more}
    return Inputs(made, artifacts, manifests=manifests, seed=seed, recipe_name="quickstart", **told)


def manifest(kind: str, stage: str, params: dict[str, Any], wall: float, memory: float, **told: Any) -> dict[str, Any]:
    """A manifest as the runner writes it."""
    digest = digest_of([stage, "digest"])
    key_inputs = {"format": 1, "kind": kind, "version": 1, "params": params, "collection": digest_of("c"), "seed": 13}
    return {
        "kind": kind,
        "stage": stage,
        "recipe": "quickstart",
        "key": digest_of(key_inputs),
        "key_inputs": key_inputs,
        "rows": {"in": 0, "out": 0, "dropped": {}},
        "truncation_rate": {},
        "metrics": {},
        "timings": {},
        "wall_seconds": wall,
        "peak_memory_mib": memory,
        "resumed": False,
        "created": "2026-11-24T03:12:40+00:00",
        "versions": VERSIONS,
        "digest": digest,
        "outputs": {},
    } | told


def ref(stage: str) -> str:
    """How key inputs name a stage that was read."""
    return f"stage:{digest_of([stage, 'digest'])}"


def files(**sizes: int) -> dict[str, Any]:
    """Outputs of a manifest."""
    return {name.replace("__", "/"): {"sha256": digest_of(name), "bytes": n} for name, n in sizes.items()}


def manifests(evaluated: Metrics) -> dict[str, dict[str, Any]]:
    """The manifests of a whole quickstart, in the order of the run."""
    student = {"kind": "dense", "base": f"model:{digest_of('MiniLM')}", "layers": [0, 5], "max_length": 128}
    kl = {"kind": "kl", "weight": 1.0, "teacher": "ce", "student_temperature": 0.05, "teacher_temperature": 1.0}
    infonce = {"kind": "infonce", "weight": 0.1, "temperature": 0.05}
    train = {"candidates": ref("select"), "student": student, "steps": 400, "lr": 1e-4}
    trained = {"steps": 400, "queries": 3408, "first_loss": 1.94, "last_loss": 0.61, "parameters": 15_350_000}
    lists = {"in": 54_528, "out": 54_528, "dropped": {}}
    systems = {
        "bm25": {"kind": "candidates", "candidates": ref("bm25")},
        "teacher": {"kind": "rerank", "candidates": ref("score"), "teacher": "ce"},
        **{
            system: {"kind": "dense", "model": ref(model), "index": ref(index)}
            for system, model, index in (
                ("zero_shot", "zero_shot", "zero_shot_index"),
                ("control", "control", "control_index"),
                ("student", "train", "index"),
            )
        },
    }
    told = [
        manifest(
            "mine",
            "mine",
            {"miner": {"kind": "fused"}},
            24.1,
            913,
            rows={"in": 4255, "out": 212_750, "dropped": {}},
            outputs=files(train__part=8_100_000, dev__part=900_000),
            metrics={"test": {"positives_found": 498}},
        ),
        manifest(
            "teach",
            "teach",
            {"candidates": ref("mine")},
            611.8,
            1893,
            truncation_rate={"pair": 0.031},
            outputs=files(model__weights=90_900_000, trace=41_000),
        ),
        manifest(
            "score",
            "score",
            {"candidates": ref("mine"), "teachers": {"ce": {"kind": "cross_encoder", "model": ref("teach")}}},
            204.6,
            1502,
            rows={"in": 212_750, "out": 212_750, "dropped": {}},
            truncation_rate={"ce": 0.0312},
            outputs=files(train__part=9_000_000),
        ),
        manifest(
            "select",
            "select",
            {"candidates": ref("score")},
            2.4,
            610,
            outputs=files(train__part=2_100_000, audit=9_000),
            rows={
                "in": 170_400,
                "out": 54_528,
                "dropped": {"false negative (margin below positive)": 9_811, "not sampled": 106_061},
            },
        ),
        manifest(
            "train",
            "train",
            {**train, "objective": [kl, infonce]},
            288.0,
            1711,
            metrics=trained,
            rows=lists,
            outputs=files(model__weights=61_400_000),
        ),
        manifest(
            "train",
            "control",
            {**train, "objective": [infonce]},
            271.4,
            1699,
            metrics=trained,
            rows=lists,
            outputs=files(model__weights=61_400_000),
        ),
        manifest("train", "zero_shot", {**train, "steps": 0}, 1.7, 702, outputs=files(model__weights=61_400_000)),
        manifest(
            "index",
            "index",
            {"model": ref("train")},
            9.2,
            780,
            metrics={"index": "Flat", "dim": 384, "sizes": {"index_bytes": 7_176_192}},
            timings={"recall_seconds": 0.31, "build_seconds": 1.5},
            outputs=files(index=7_176_192, vectors=7_176_320),
        ),
        manifest("index", "control_index", {"model": ref("control")}, 9.0, 781, outputs=files(index=7_176_192)),
        manifest("index", "zero_shot_index", {"model": ref("zero_shot")}, 9.1, 779, outputs=files(index=7_176_192)),
        manifest("mine", "bm25", {"miner": {"kind": "bm25"}}, 1.9, 402, outputs=files(test__part=410_000)),
        manifest(
            "evaluate",
            "evaluate",
            {"systems": systems},
            6.3,
            903,
            metrics=evaluated.values,
            rows={"in": evaluated.rows_in, "out": evaluated.rows_out, "dropped": evaluated.rows_dropped},
            timings={"student.encode_ms_per_query": 1.84, "student.search_ms_per_query": 0.27},
            outputs=files(measures=9_000, runs=800_000),
        ),
        manifest(
            "export",
            "export",
            {"model": ref("train")},
            14.8,
            1204,
            metrics={
                "parity": {
                    "onnx": {
                        "queries": 64,
                        "documents": 1032,
                        "max_difference": 2.4e-7,
                        "min_cosine": 0.9999,
                        "top10_overlap": 0.9998,
                        "measures": {"nDCG@10": {"model": 0.7408, "export": 0.7406}},
                    }
                },
                "sizes": {"onnx_bytes": 61_530_112},
            },
            timings={"onnx_ms_per_single_query": 0.92, "model_queries_per_second": 274.3},
            outputs=files(model__onnx=61_530_112),
        ),
    ]
    return {each["stage"]: each for each in told}


def trace(steps: int, start: float, end: float, dev: tuple[float, float] | None, seed: int) -> list[dict[str, Any]]:
    """A loss that falls with noise, and looks at dev every tenth of the way."""
    rng = np.random.default_rng(seed)
    fall = np.exp(-np.arange(steps) / (steps / 5))
    losses = end + (start - end) * fall + rng.normal(0, 0.06 * start, steps)
    rows: list[dict[str, Any]] = [
        {"step": i + 1, "loss": float(loss), "learning_rate": 1e-4} for i, loss in enumerate(losses)
    ]
    for look in range(11) if dev else ():
        value = dev[1] + (dev[0] - dev[1]) * np.exp(-look / 2.5) + rng.normal(0, 0.004)
        rows.append({"step": max(look * steps // 10, 1), "dev": {"nDCG@10": float(value)}})
    return rows


def audit() -> dict[str, Any]:
    """An audit as the select stage writes it."""
    rng = np.random.default_rng(2)
    histograms = {}
    for scorer, positive, negative in (("score", (14, 6), (9, 4)), ("ce", (4.2, 2.6), (-4.1, 2.4))):
        values = {"positives": rng.normal(*positive, 3408), "negatives": rng.normal(*negative, 51_120)}
        edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins=30)
        for group, drawn in values.items():
            counts = np.histogram(drawn, edges)[0].tolist()
            histograms[f"{scorer}: {group}"] = {"edges": edges.tolist(), "counts": counts}
    example = [{"query_id": "q17", "doc_id": "posixpath.join"}, {"query_id": "q90", "doc_id": "shutil.<which>"}]
    return {
        "split": "train",
        "checks": {
            "positives among negatives, by id": {"count": 0, "of": 51_120, "examples": []},
            "positives among negatives, by text": {"count": 12, "of": 51_120, "examples": example},
            "unknown document ids": {"count": 0, "of": 54_528, "examples": []},
            "empty documents": {"count": 0, "of": 54_528, "examples": []},
            "the same text twice in a list": {"count": 31, "of": 54_528, "examples": example},
        },
        "rows": {
            "in": 170_400,
            "out": 54_528,
            "dropped": {"false negative (margin below positive)": 9_811, "not sampled": 106_061},
        },
        "score_histograms": histograms,
        "negatives_to_judge": [negative_to_judge()],
        "false_negatives": false_negatives(),
    }


def negative_to_judge() -> dict[str, Any]:
    """A negative that one of two teachers puts above the positive."""
    return {
        "query_id": "q17",
        "query": "join two paths",
        "negative": {
            "doc_id": "ntpath.join",
            "grade": None,
            "rank": 2,
            "source": "bm25",
            "text": "def join(path):\n    ...",
        },
        "positive": {
            "doc_id": "posixpath.join",
            "grade": 1,
            "rank": 1,
            "source": "bm25",
            "text": "def join(a):\n    ...",
        },
        "scores": {"ce": {"negative": 4.5, "positive": 3.25}, "bi": {"negative": None, "positive": 0.5}},
        "above": ["ce"],
    }


def false_negatives() -> dict[str, Any]:
    """What a filter found of the hidden relevant documents: 8 of 10 were taken, and 12 others."""
    shares = {
        "mined": (30, 100, 0.2189, 0.3958),
        "sampled": (6, 40, 0.0706, 0.2907),
        "recall": (8, 10, 0.4902, 0.9433),
        "precision": (8, 20, 0.2188, 0.6134),
        "kept": (2, 80, 0.0069, 0.0866),
    }
    told = {
        name: {"count": count, "of": of, "share": count / of, "low": low, "high": high}
        for name, (count, of, low, high) in shares.items()
    }
    row = {"filter": "margin filter on ce", **{name: told[name] for name in ("recall", "precision", "kept")}}
    both = {name: told[name] for name in ("mined", "sampled")}
    return {
        "judgements": "of the split human, relevant from grade 2",
        "queries": 12,
        "both": True,
        "filters": [row],
        **both,
    }


def disagreement() -> dict[str, Any]:
    """Where two teachers differ, as the score stage writes it."""
    pair = {
        "query_id": "q3",
        "query": "Join two paths.",
        "doc_id": "posixpath.join",
        "text": "def join(a, *p):\n    return a",
        "grade": 1,
        "scores": {"ce": 4.21, "bi": 0.12},
        "standardised": {"ce": 1.9, "bi": -0.8},
        "difference": 2.7,
    }
    told = {
        "teachers": ["ce", "bi"],
        "num_queries": 498,
        "of_queries": 501,
        "tau": {"mean": 0.412, "lowest": -0.31, "highest": 0.97},
        "queries": [{"query_id": "q8", "query": "Return the absolute value.", "tau": -0.31}],
        "pairs": [pair],
    }
    nothing = {**told, "teachers": ["ce", "flat"], "tau": None, "queries": [], "pairs": []}
    return {"dev": [told, nothing]}


def whole_run(root: Path, seed: int = 0) -> Inputs:
    """Inputs of a report stage over the artifacts of a whole run below ``root``."""
    made, evaluated = evaluation(root / "evaluate", seed)
    told = manifests(evaluated)
    artifacts = {name: root / name for name in told}
    for path in artifacts.values():
        path.mkdir(parents=True, exist_ok=True)
    traces = {
        "teach": trace(300, 2.08, 0.9, (0.31, 0.60), 1),
        "train": trace(400, 1.94, 0.61, (0.41, 0.556), 2),
        "control": trace(400, 2.3, 0.42, (0.41, 0.50), 3),
    }
    for name, rows in traces.items():
        (root / name / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "select" / "audit.json").write_text(json.dumps(audit()))
    (root / "score" / "disagreement.json").write_text(json.dumps(disagreement()))
    return inputs(made, artifacts, told)
