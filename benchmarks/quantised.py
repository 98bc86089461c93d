"""8-bit scoring: how much faster than exact scores, and how far from them in rank and in nDCG@10."""

from itertools import accumulate
from typing import Any

import numpy as np

from benchmarks.limit import Work
from benchmarks.measure import Contender, Subject, goal, interleaved, timed
from benchmarks.scoring import MAX_LENGTH, QUERY_MAX_LENGTH
from benchmarks.setting import CandidateList, Setting
from retkd.matchers.cross_encoder import PairScorer

SPEED_UP, KENDALL_TAU, NDCG_DIFFERENCE = 1.6, 0.98, 0.005
MEASURE = "nDCG@10"


def measure(setting: Setting) -> dict[str, Any]:
    """A trained cross-encoder's scores (or a segments head on the encoder, which ranks by cosine) in three ways."""
    import torch
    from transformers import AutoTokenizer

    from retkd.digests import FileDigests
    from retkd.matchers.pair_graph import load_graph
    from retkd.matchers.pair_models import load_model
    from retkd.matchers.segment_head import SegmentCrossEncoder
    from retkd.stage import Model

    folder = setting.cross_encoder
    if folder is None:
        folder = setting.work / "segments"
        SegmentCrossEncoder.load(setting.model).save_pretrained(str(folder))
        AutoTokenizer.from_pretrained(str(setting.model)).save_pretrained(folder)
    model = Model("", folder, FileDigests(setting.work / "digests.json").model(folder))
    loaded = {"torch fp32": load_model(folder, "cpu")}
    for name, quantise in (("onnx fp32", "none"), ("onnx int8", "int8")):
        loaded[name] = load_graph(model, setting.work, "onnx", quantise, torch.get_num_threads())  # type: ignore[arg-type]
    scorers = {name: PairScorer.around(folder, each, MAX_LENGTH, QUERY_MAX_LENGTH) for name, each in loaded.items()}
    lists = setting.candidate_lists(setting.sizes.queries)
    pairs = [(each.query, document) for each in lists for document in each.documents]
    found: dict[str, np.ndarray] = {}

    def scored(name: str) -> np.ndarray:
        found[name] = scorers[name].score(pairs)
        return found[name]

    contenders = [Contender(name, timed(lambda name=name: scored(name)), ours=name == "onnx int8") for name in scorers]
    exact = scorers["torch fp32"]
    lengths = [len(row) for row in exact.tokenize(pairs)[0]["input_ids"]]
    gflop = Work.of(exact.model).forward(lengths)
    facts: dict[str, Any] = {"queries": len(lists)}
    subject = Subject("quantised", "pairs", len(pairs), gflop, None, facts, as_called_goal=False)
    told = interleaved(subject, contenders, setting.repeats, setting.sizes.matmul)
    return _judged(told, setting, lists, found)


def _judged(
    told: dict[str, Any], setting: Setting, lists: list[CandidateList], found: dict[str, np.ndarray]
) -> dict[str, Any]:
    tau = kendall_taus(found["torch fp32"], found["onnx int8"], [len(each.doc_ids) for each in lists])
    measures = ndcg(setting, lists, found)
    change = measures["onnx int8"] - measures["torch fp32"]
    told["facts"] |= {"kendall_tau": float(tau.mean()), "lowest_kendall_tau": float(tau.min())}
    told["facts"] |= {f"{MEASURE}_exact": measures["torch fp32"], f"{MEASURE}_int8": measures["onnx int8"]}
    speed_up = told["contenders"]["torch fp32"]["times_as_slow_as_ours"]["median"]
    told["goals"] = [
        goal("speed over exact scores", SPEED_UP, speed_up),
        goal("Kendall tau with exact scores, mean over queries", KENDALL_TAU, float(tau.mean())),
        goal(f"{MEASURE} against exact scores, either way", -NDCG_DIFFERENCE, -abs(change)),
    ]
    return told


def kendall_taus(one: np.ndarray, other: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Kendall's tau-b of each list of scores; 1 where a list has one score."""
    from scipy.stats import kendalltau

    ends = list(accumulate(sizes))
    return np.array(
        [
            kendalltau(one[end - size : end], other[end - size : end]).statistic if size > 1 else 1.0
            for end, size in zip(ends, sizes, strict=True)
        ]
    )


def ndcg(setting: Setting, lists: list[CandidateList], found: dict[str, np.ndarray]) -> dict[str, float]:
    """nDCG@10 of each contender's ranking of the candidates, mean over the judged queries."""
    from retkd.evaluation.measures import measured

    judged, ends = setting.judgements(), list(accumulate(len(each.doc_ids) for each in lists))
    qrels = {each.query_id: judged[each.query_id] for each in lists if judged.get(each.query_id)}
    runs = {}
    for name, scores in found.items():
        own = [scores[end - len(each.doc_ids) : end] for each, end in zip(lists, ends, strict=True)]
        runs[name] = {
            each.query_id: [(each.doc_ids[i], float(part[i])) for i in np.argsort(-part, kind="stable")]
            for each, part in zip(lists, own, strict=True)
        }
    values = measured(runs.items(), qrels, [MEASURE])
    return {name: float(values.of(name, MEASURE).mean()) for name in runs}
