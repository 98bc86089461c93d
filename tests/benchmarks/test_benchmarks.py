"""The benchmarks at a tiny size: the results of the contenders are equal, and the JSON holds what it should."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import run
from benchmarks.limit import Work
from benchmarks.measure import Contender, Outcome, Subject, UnequalError, interleaved, timed
from benchmarks.setting import Setting, Sizes
from tests.tiny import tiny_collection, tiny_encoder

SIZES = Sizes(
    queries=3,
    passages=20,
    batch_queries=3,
    documents_per_query=4,
    steps=2,
    matmul=64,
    mining_queries=9,
    mining_documents=300,
    student_layers=(0,),
)
IN_THEIR_OWN = ("mining", "grad_cache", "grad_cache_large")
IN_THIS_PROCESS = [name for name in (*run.MEASUREMENTS, *run.ON_REQUEST) if name not in IN_THEIR_OWN]
SPREAD = {"median", "min", "max", "all"}


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """A tiny encoder and collection, with candidates that some queries share."""
    work = tmp_path_factory.mktemp("benchmarks")
    folder = tiny_collection(work / "collection")
    rows = [
        f"q{query}\td{(query + place * (1 + query % 2)) % 60}\t{place + 1}" for query in range(18) for place in range(5)
    ]
    (folder / "bm25.candidates.tsv").write_text("\n".join(["query-id\tcorpus-id\trank", *rows]) + "\n")
    return Setting(folder, tiny_encoder(work / "encoder"), work / "work", SIZES, repeats=2)


@pytest.fixture(scope="module", params=IN_THIS_PROCESS)
def results(request: pytest.FixtureRequest, setting: Setting) -> tuple[str, dict[str, Any]]:
    """(name, what one measurement gives)."""
    return request.param, run.run(setting, [request.param])


def test_the_json_holds_what_is_needed_to_read_the_numbers(results: tuple[str, dict[str, Any]]) -> None:
    name, told = results
    told = json.loads(json.dumps(told, allow_nan=False))
    assert {"machine", "versions", "seed", "repeats", "sizes", "measurements"} <= set(told)
    assert {"cpu", "cores", "threads", "memory_gib", "load_average_1min"} <= set(told["machine"])
    assert {"python", "torch", "transformers", "sentence-transformers"} <= set(told["versions"])
    measured = told["measurements"][name]
    assert set(measured["matmul_gflop_per_second"]) == SPREAD
    assert measured["gflop"] > 0
    assert measured["facts"]
    for row in measured["contenders"].values():
        for field in ("seconds", f"{measured['unit']}_per_second", "share_of_limit", "times_as_slow_as_ours"):
            assert set(row[field]) == SPREAD
            assert len(row[field]["all"]) == 2
            assert row[field]["min"] <= row[field]["median"] <= row[field]["max"]
    assert {"goal", "at_least", "value", "met"} == set(measured["goals"][0])


def test_the_results_are_equal(results: tuple[str, dict[str, Any]]) -> None:
    name, told = results
    measured = told["measurements"][name]
    equal, contenders = measured["equal"], measured["contenders"]
    assert len(equal["largest_difference"]) == len(contenders) - 1 >= 2
    if equal["tolerance"] is not None:
        assert all(difference <= equal["tolerance"] for difference in equal["largest_difference"].values())
    else:
        assert name == "quantised"
        assert equal["largest_difference"]["onnx fp32"] > 0
    assert [row["times_as_slow_as_ours"]["median"] for row in contenders.values() if row["role"] == "ours"] == [1.0]


def test_all_miners_find_the_same_negatives(setting: Setting, tmp_path: Path) -> None:
    """One positive per query, which none of them brings; what they find has the same similarities."""
    from benchmarks import mining

    folder = mining.made_collection(setting, tmp_path / "collection")
    model = mining.static_encoder(setting.model, tmp_path / "model")
    documents, queries, positives = mining._texts(folder)
    assert (len(documents), len(set(documents.values())), len(queries)) == (300, 300, 9)
    assert not set(queries.values()) & set(documents.values())
    assert all(query in documents[positives[query_id]] for query_id, query in queries.items())
    found = {}
    for number, name in enumerate((mining.OURS, *mining.PEERS)):
        (tmp_path / str(number)).mkdir()
        found[name] = mining.prepared(name, folder, model, tmp_path / str(number))()()
    scores = {name: mining.scores_of(ids, folder, model) for name, ids in found.items()}
    assert scores[mining.OURS].shape == (9, 100)
    for name, theirs in scores.items():
        assert np.abs(theirs - scores[mining.OURS]).max() < mining.TOLERANCE, name
    with pytest.raises(ValueError, match="q0: 100 negatives; its positive among them: True"):
        mining.scores_of([[positives["q0"], *found[mining.OURS][0][1:]], *found[mining.OURS][1:]], folder, model)


@pytest.mark.nightly
def test_mining_is_measured_in_processes_of_their_own(setting: Setting) -> None:
    from dataclasses import replace

    told = run.run(replace(setting, repeats=1), ["mining"])["measurements"]["mining"]
    assert len(told["contenders"]) == 4
    assert all(row["peak_memory_mib"] > 100 for row in told["contenders"].values())
    assert all(difference <= told["equal"]["tolerance"] for difference in told["equal"]["largest_difference"].values())
    assert told["goals"][-1]["goal"].startswith(
        "3 times as fast as mine_hard_negatives, triplets, or the memory that it adds / 4"
    )


@pytest.mark.nightly
def test_grad_cache_is_measured_in_processes_of_their_own(setting: Setting) -> None:
    from dataclasses import replace

    told = run.run(replace(setting, repeats=1), ["grad_cache"])["measurements"]["grad_cache"]
    assert list(told["contenders"]) == ["grad_cache", "all passes at once"]
    assert all(row["peak_memory_mib"] > 100 for row in told["contenders"].values())


def test_both_ways_of_passing_have_the_same_losses(setting: Setting, tmp_path: Path) -> None:
    """With dropout on."""
    from benchmarks import grad_cache

    losses = []
    for cached in (True, False):
        (tmp_path / "asked").write_bytes(
            pickle.dumps((Setting(setting.folder, setting.model, tmp_path, SIZES), cached))
        )
        grad_cache.main(tmp_path / "asked", tmp_path / "told.npz")
        with np.load(tmp_path / "told.npz") as told:
            losses.append(told["losses"])
    assert len(losses[0]) == 3
    assert np.abs(losses[0] - losses[1]).max() < 1e-5


def test_the_peers_losses_train_the_same_student(setting: Setting, tmp_path: Path) -> None:
    """Each loss and each look at dev is that of the peer, whose lists are the same, over more than a pass."""
    from benchmarks import parity

    told = parity.measure(setting, steps=8, lists_of="train")
    assert set(told["losses"]) == {"DistillKLDivLoss", "MarginMSELoss"}
    for rows in told["losses"].values():
        ours, peer = rows["retkd"], rows["SentenceTransformerTrainer"]
        assert rows["largest_difference_of_a_loss"] < 1e-4
        assert ours["nDCG@10"] == pytest.approx(peer["nDCG@10"], abs=1e-6)
        assert ours["last_loss"] < rows["first_loss"]
        assert ours["pairs_per_second"] > 0


def test_a_goal_of_speed_or_memory_takes_the_better() -> None:
    outcome = {"ours": Outcome(np.zeros(1), 1.0, 300.0, 100.0), "peer": Outcome(np.zeros(1), 1.5, 900.0, 800.0)}
    contenders = [
        Contender(name, lambda name=name: outcome[name], ours=name == "ours", as_called=name == "peer")  # type: ignore[misc]
        for name in outcome
    ]
    subject = Subject("s", "units", 1, 1.0, 0.0, {}, as_called_goal=False, share_goal=None, memory_goal=(3.0, 4.0))
    goals = interleaved(subject, contenders, repeats=1, matmul=8)["goals"]
    assert [(goal["value"], goal["met"]) for goal in goals] == [(1.5, True), (2.0, True)]
    assert goals[1]["goal"] == "3 times as fast as peer, or the memory that it adds / 4"


def test_eight_bits_are_judged_by_rank_and_measure(setting: Setting) -> None:
    measured = run.run(setting, ["quantised"])["measurements"]["quantised"]
    facts = measured["facts"]
    assert 0.5 < facts["lowest_kendall_tau"] <= facts["kendall_tau"] <= 1
    assert 0 < facts["nDCG@10_exact"] < 1
    told = {each["goal"]: each["value"] for each in measured["goals"]}
    assert told["nDCG@10 against exact scores, either way"] == -abs(facts["nDCG@10_int8"] - facts["nDCG@10_exact"])
    assert told["speed over exact scores"] == measured["contenders"]["torch fp32"]["times_as_slow_as_ours"]["median"]


def test_kendalls_tau_by_hand() -> None:
    """One of three pairs is swapped: (2 - 1) / 3. A list of one score has nothing to swap."""
    from benchmarks.quantised import kendall_taus

    one, other = np.array([3.0, 2.0, 1.0, 9.0]), np.array([3.0, 1.0, 2.0, 0.0])
    assert kendall_taus(one, other, [3, 1]).tolist() == pytest.approx([1 / 3, 1.0])


def test_all_queries_are_those_of_every_split(setting: Setting) -> None:
    """The tiny collection has candidates for its 18 training queries; dev and test queries without any are left out."""
    assert len(setting.candidate_lists(None)) == 18
    assert len(setting.candidate_lists(4)) == 4
    assert setting.judgements()["q29"] == {"d29": 1}


def test_training_counts_a_shared_document_once(setting: Setting) -> None:
    from benchmarks import training

    lesson = training.prepared(setting)
    lengths, facts = training.real_tokens(lesson, training.student_of(setting))
    assert facts["documents_per_step"] == 12
    assert facts["shared_documents"] > 0
    assert len(lengths) == 2 * (3 + 12) - facts["shared_documents"]
    assert lesson.in_order[0].doc_ids[0] in lesson.in_order[0].all_positives


def test_unequal_results_give_no_times() -> None:
    contenders = [
        Contender("one", timed(lambda: np.zeros(2)), ours=True),
        Contender("other", timed(lambda: np.ones(2))),
    ]
    for warm_up in (True, False):
        subject = Subject("sums", "sums", 2, 1.0, 0.01, {}, warm_up=warm_up)
        with pytest.raises(UnequalError, match=r"^sums: 'other' and 'one' differ by 1 \(allowed: 0.01\); no times"):
            interleaved(subject, contenders, repeats=1, matmul=8)


def test_a_missing_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--data", str(tmp_path)]) == 1
    assert "set RETKD_DATA or --data" in capsys.readouterr().err


def test_main_prints_and_writes(setting: Setting, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--only", "encoding", "--small", "--repeats", "1", "--out", str(tmp_path / "results.json")]
    assert run.main([*asked, "--data", str(setting.folder), "--model", str(setting.model)]) == 0
    out = capsys.readouterr().out
    assert "retkd Encoder.encode" in out
    assert "share of the matmul limit" in out
    assert json.loads((tmp_path / "results.json").read_text())["measurements"]["encoding"]["count"] == 60


def test_the_work_of_a_transformer_by_hand() -> None:
    """Two layers of one 4 x 4 map: 2 x 2 x 16 a token, 4 x 2 x 4 a squared token, 2 x 4 x 1 for the head."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Sequential(nn.Linear(4, 4)) for _ in range(2))
            self.head = nn.Linear(4, 1)
            self.config = type("Config", (), {"hidden_size": 4})

    work = Work.of(Made(), head=True)
    assert (work.per_token, work.per_squared_token, work.per_text) == (64, 32, 8)
    assert work.forward([3, 1]) * 1e9 == pytest.approx(64 * 4 + 32 * (9 + 1) + 8 * 2)
    assert work.training([3, 1]) == pytest.approx(3 * work.forward([3, 1]))
    assert Work.of(Made()).per_text == 0


def test_the_work_of_attention_and_linear_maps_as_torch_counts_it() -> None:
    """torch's own counter over a BERT without padding, with the attention that is written as two matmuls."""
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    config._attn_implementation = "eager"
    model = BertModel(config, add_pooling_layer=False).eval()
    with FlopCounterMode(display=False) as counter:
        model(input_ids=torch.zeros((3, 7), dtype=torch.int64))
    assert Work.of(model).forward([7, 7, 7]) * 1e9 == pytest.approx(counter.get_total_flops())
