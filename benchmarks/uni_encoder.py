"""A uni-encoder beside a cross-encoder of equal depth, and where the time goes: `python benchmarks/uni_encoder.py`.

Each contender scores the same candidates of the same queries with the weights of one encoder; their scores differ, being
those of different masks and cuts, except that the blocked mask's two forms are compared and must agree. `--small` takes a minute.

What to expect: sharing the query saves the query's tokens and nothing else. Of 3,257 tokens in 40 pairs of msmarco-mini 2,915
are left, a ninth less, and linear maps, which cost by the token, are four fifths of the time. So 2.5 times the speed needs
shorter documents or fewer layers, and these make a cross-encoder as much faster. A pass of many candidates under one dense
mask is slower than pairs: what it computes of attention and throws away grows with the square of the pass.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("KINETO_LOG_LEVEL", "5")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from rich.table import Table

from benchmarks import machine
from benchmarks.limit import Work
from benchmarks.measure import UnequalError, spread, timed
from benchmarks.setting import DATA, MODEL, Setting, Sizes
from benchmarks.table import console
from retkd.batching import default_tokens_per_batch
from retkd.digests import FileDigests
from retkd.matchers.cross_encoder import CandidateList, PairScorer
from retkd.matchers.segment_head import SegmentCrossEncoder
from retkd.matchers.uni_encoder import UniEncoder, UniMask
from retkd.matchers.uni_scorer import UniScorer
from retkd.models import resolve
from retkd.shards import atomic
from retkd.students.initialisation import Layers, keep_layers

MAX_LENGTH, QUERY_MAX_LENGTH = 256, 64
TOLERANCE = 1e-4
GOAL = 2.5
HALF: Layers = "every_second"
FAST = "blocked, half its layers, cut at 48"
"""What its judgements are worth: the teacher `fast uni, 48 tokens` of benchmarks/variants.py."""
ATTENTION, MATMUL = ("attention",), ("addmm", "aten::mm", "bmm", "linear")


@dataclass(frozen=True)
class Contender:
    """One way to score the lists. ``gflop`` is over real tokens, as benchmarks/limit.py counts it."""

    name: str
    score: Callable[[], np.ndarray]
    gflop: float
    tokens: int


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; exit code 1 when the blocked mask's two forms disagree. A missed goal is no failure."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = resolve(asked.model, FileDigests(work / "digests.json")).path
        sizes = Sizes(queries=2) if asked.small else Sizes()
        setting = Setting(asked.data, model, work, sizes, asked.repeats, asked.seed)
        try:
            results = measure(setting)
        except UnequalError as error:
            print(error, file=sys.stderr)
            return 1
    show(results)
    with atomic(asked.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(setting: Setting) -> dict[str, Any]:
    """Every contender in turn, the first to go changing with each repeat, after a warm-up; then one profiled run of each."""
    import transformers

    transformers.logging.disable_progress_bar()
    found = setting.candidate_lists(setting.sizes.queries)
    lists: list[CandidateList] = [(each.query, each.documents) for each in found]
    pairs = sum(len(texts) for _, texts in lists)
    contenders = contenders_of(setting.model, lists)
    _require_equal(contenders)
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for repeat in range(setting.repeats):
        print(f"repeat {repeat + 1} of {setting.repeats}", file=sys.stderr, flush=True)
        for position in range(len(contenders)):
            each = contenders[(position + repeat) % len(contenders)]
            seconds[each.name].append(timed(each.score)().seconds)
    first = np.array(seconds[contenders[0].name])
    rows = {}
    for each in contenders:
        times = np.array(seconds[each.name])
        rows[each.name] = {
            "seconds": spread(times),
            "pairs_per_second": spread(pairs / times),
            "times_the_cross_encoder": spread(first / times),
            "gflop": each.gflop,
            "real_tokens": each.tokens,
            "share_of_cpu_time": profiled(each.score),
        }
    facts = {"lists": len(lists), "pairs": pairs, "seed": setting.seed, "repeats": setting.repeats, "goal": GOAL}
    return {"machine": machine.describe(), "versions": machine.versions(), **facts, "contenders": rows}


def contenders_of(folder: Path, lists: list[CandidateList]) -> list[Contender]:
    """The cross-encoder first; then uni-encoders: both masks, several passes, then what shortens the work."""
    cross = _cross_encoder(folder, MAX_LENGTH)
    made = [_cross_contender("cross-encoder, head segments", cross, lists)]
    blocked = _uni(folder, "blocked", MAX_LENGTH)
    made.append(_uni_contender("blocked: keys and values lent", blocked, lists))
    made.append(_uni_contender("blocked: a mask of all tokens, a list per pass", blocked, lists, whole=True))
    for size in (4, 8, 20):
        name = f"arrow, {size} candidates per pass"
        made.append(_uni_contender(name, _uni(folder, "arrow", MAX_LENGTH, size), lists))
    made.append(_cross_contender("cross-encoder, pairs cut at 48 tokens", _cross_encoder(folder, 48), lists))
    made.append(_uni_contender("blocked, pairs cut at 48 tokens", _uni(folder, "blocked", 48), lists))
    made.append(_cross_contender("cross-encoder, half its layers", _cross_encoder(folder, MAX_LENGTH, HALF), lists))
    made.append(_uni_contender("blocked, half its layers", _uni(folder, "blocked", MAX_LENGTH, layers=HALF), lists))
    made.append(_cross_contender("cross-encoder, half its layers, cut at 64", _cross_encoder(folder, 64, HALF), lists))
    made.append(_uni_contender("blocked, half its layers, cut at 64", _uni(folder, "blocked", 64, layers=HALF), lists))
    made.append(_uni_contender(FAST, _uni(folder, "blocked", 48, layers=HALF), lists))
    return made


def _cross_encoder(folder: Path, max_length: int, layers: Layers = None) -> PairScorer:
    from transformers import AutoTokenizer

    model = SegmentCrossEncoder.load(folder).eval()
    keep_layers(model.base_model, layers, "the benchmark")
    return PairScorer(model, AutoTokenizer.from_pretrained(str(folder)), max_length, QUERY_MAX_LENGTH)


def _uni(folder: Path, mask: UniMask, max_length: int, size: int = 8, layers: Layers = None) -> UniScorer:
    from transformers import AutoTokenizer

    model = UniEncoder.load(folder).eval()
    keep_layers(model.base_model, layers, "the benchmark")
    model.mask, model.candidates_per_pass = mask, size
    return UniScorer(model, AutoTokenizer.from_pretrained(str(folder)), max_length, QUERY_MAX_LENGTH)


def _cross_contender(name: str, scorer: PairScorer, lists: list[CandidateList]) -> Contender:
    pairs = [(query, text) for query, texts in lists for text in texts]
    lengths = [len(row) for row in scorer.tokenize(pairs)[0]["input_ids"]]
    return Contender(name, lambda: scorer.score(pairs), Work.of(scorer.model).forward(lengths), sum(lengths))


def _uni_contender(name: str, scorer: UniScorer, lists: list[CandidateList], whole: bool = False) -> Contender:
    """Attention is counted as the mask lets it look, not as a dense mask computes it."""
    read, _ = scorer.read(lists)
    contexts, own = read.lengths(read.contexts), read.lengths(read.candidates)
    tokens, work = int(contexts.sum() + own.sum()), Work.of(scorer.model)
    squares = float((contexts**2).sum() + (own * (own + contexts[read.list_of])).sum())
    if scorer.model.mask == "arrow":
        squares += float((contexts[read.list_of] * own).sum())
    gflop = (work.per_token * tokens + work.per_squared_token * squares) / 1e9
    return Contender(name, lambda: _dense(scorer, lists) if whole else scorer.score_lists(lists)[0], gflop, tokens)


def _dense(scorer: UniScorer, lists: list[CandidateList]) -> np.ndarray:
    """The blocked mask as a mask: each list one pass."""
    read, _ = scorer.read(lists)
    scores = np.empty(len(read.list_of), dtype=np.float32)
    with torch.inference_mode():
        for own in range(len(lists)):
            rows = np.flatnonzero(read.list_of == own)
            features = scorer._pass_features(read, [rows])
            scores[rows] = scorer.model.passes(features)[0].numpy()
    return scores


def _require_equal(contenders: list[Contender]) -> None:
    scores = [each.score() for each in contenders]
    difference = float(np.abs(scores[1] - scores[2]).max())
    if not difference <= TOLERANCE:
        raise UnequalError(f"the blocked mask's two forms differ by {difference:.3g} (allowed: {TOLERANCE:g})")


def profiled(score: Callable[[], np.ndarray]) -> dict[str, float]:
    """Shares of one run's CPU time in operators: matmuls of linear maps, attention, everything else. Tokenising is apart."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        score()
    events = {event.key: float(event.self_cpu_time_total) for event in seen.key_averages()}
    total = sum(events.values())
    attention = sum(time for name, time in events.items() if any(part in name for part in ATTENTION))
    linear = sum(time for name, time in events.items() if any(part in name for part in MATMUL))
    return {"linear": linear / total, "attention": attention / total, "other": 1 - (linear + attention) / total}


def show(results: dict[str, Any]) -> None:
    """One row per contender."""
    screen = console()
    screen.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    title = f"{results['pairs']} pairs in {results['lists']} lists, {default_tokens_per_batch('cpu')} tokens per batch"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("", "median s", "pairs/s", "x cross-encoder", "GFLOP", "tokens", "linear", "attention", "other"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name, row in results["contenders"].items():
        ratio, shares = row["times_the_cross_encoder"], row["share_of_cpu_time"]
        table.add_row(
            name,
            f"{row['seconds']['median']:.2f}",
            f"{row['pairs_per_second']['median']:.1f}",
            f"{ratio['median']:.2f} ({ratio['min']:.2f} - {ratio['max']:.2f})",
            f"{row['gflop']:,.0f}",
            f"{row['real_tokens']:,}",
            *(f"{shares[part]:.0%}" for part in ("linear", "attention", "other")),
        )
    screen.print(table)
    for name, row in results["contenders"].items():
        if name.startswith(("blocked: keys", FAST)):
            value = row["times_the_cross_encoder"]["median"]
            screen.print(f"{'met' if value >= GOAL else 'MISSED'}: {name}, {value:.2f} (goal: {GOAL})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="two lists, to see that it works")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA, help="a BEIR folder that also holds bm25.candidates.tsv")
    parser.add_argument("--model", default=MODEL, help="a BERT encoder: folder, package:NAME/FOLDER or hub id")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("uni_encoder.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
