"""The benchmark of lists at a tiny size."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import uni_encoder
from benchmarks.measure import UnequalError
from benchmarks.setting import Setting, Sizes
from tests.tiny import tiny_collection, tiny_encoder


def test_it_measures_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_collection(tmp_path / "collection")
    rows = [f"q{query}\td{(query + place) % 60}\t{place + 1}" for query in range(18) for place in range(5)]
    (folder / "bm25.candidates.tsv").write_text("\n".join(["query-id\tcorpus-id\trank", *rows]) + "\n")
    encoder = tiny_encoder(tmp_path / "encoder")
    results = uni_encoder.measure(Setting(folder, encoder, tmp_path / "work", Sizes(queries=3), repeats=2))
    json.dumps(results, allow_nan=False)
    assert (results["lists"], results["pairs"]) == (3, 15)
    rows_of = results["contenders"]
    cross, blocked = rows_of["cross-encoder, head segments"], rows_of["blocked: keys and values lent"]
    assert blocked["real_tokens"] < cross["real_tokens"]
    assert blocked["gflop"] < cross["gflop"]
    assert rows_of["blocked, half its layers"]["gflop"] < 0.6 * blocked["gflop"]
    for row in rows_of.values():
        assert len(row["seconds"]["all"]) == 2
        assert sum(row["share_of_cpu_time"].values()) == pytest.approx(1.0)
        assert row["share_of_cpu_time"]["linear"] > 0
    uni_encoder.show(results)
    assert "x cross-encoder" in capsys.readouterr().out


def test_forms_that_disagree_are_refused() -> None:
    made = [uni_encoder.Contender(name, lambda v=value: np.array([v]), 1.0, 1) for value, name in enumerate("abc")]
    with pytest.raises(UnequalError, match="two forms differ by 1"):
        uni_encoder._require_equal(made)
