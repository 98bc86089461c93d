"""The select stage: the training table by rule, the other splits as they are, the audit."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd import candidates
from retkd.errors import DataError, ScaleError
from retkd.selection.audit import audit
from retkd.selection.clusters import Clusters
from retkd.selection.curriculum import ClDrd
from retkd.selection.filters import Margin, Percentage
from retkd.selection.rules import select
from retkd.selection.samplers import Mixed, Random, TopK
from retkd.selection.samples import negatives_to_judge
from retkd.stages.select import Config, run
from tests.conftest import MakeInputs, files

RULES = {
    "filters": [Margin(teacher="bm", margin=0.1)],
    "sampler": Random(num_negatives=3),
    "teacher": "bm",
    "unlabelled": "drop",
}
CONFIG = Config(candidates="score", **RULES)  # type: ignore[arg-type]


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path) -> Any:
    def make(**changed: Any) -> Any:
        return inputs({"score": scored}, **changed)

    return make


def test_the_training_table_is_selected_and_audited(ready: Any, scored: Path, tmp_path: Path) -> None:
    metrics = run(CONFIG, ready(), tmp_path / "out")
    before = candidates.read(scored / "train")
    inputs = ready()
    chosen = select(before, inputs.collection, "train", **RULES, seed=inputs.seed)  # type: ignore[arg-type]
    expected, dropped = chosen.rows, chosen.dropped
    assert candidates.read(tmp_path / "out" / "train").equals(expected)
    told = json.loads((tmp_path / "out" / "audit.json").read_text())
    counted = audit(expected, inputs.collection, "train", dropped, before.num_rows)
    assert {name: told[name] for name in counted} == counted
    assert told["negatives_to_judge"] == negatives_to_judge(expected, inputs.collection, "train", 20, inputs.seed)
    assert told["false_negatives"] is None
    assert metrics.rows_dropped == dropped
    assert metrics.rows_in - metrics.rows_out == sum(dropped.values())
    assert metrics.values["queries"] == len(expected["query_id"].unique())
    assert metrics.values["checks"] == {name: check["count"] for name, check in told["checks"].items()}
    assert all(count > 0 for count in dropped.values())


def test_the_other_splits_pass_as_they_are(ready: Any, scored: Path, tmp_path: Path) -> None:
    run(CONFIG, ready(), tmp_path / "out")
    for split in ("dev", "test"):
        found, given = candidates.read(tmp_path / "out" / split), candidates.read(scored / split)
        assert found.equals(given)
        assert candidates.scale_of(found, "bm") == "standardised"


def test_twice_gives_the_same_bytes_and_a_change_gives_others(ready: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(CONFIG, ready(), tmp_path / name)
    assert files(tmp_path / "first") == files(tmp_path / "second")
    run(CONFIG, ready(seed=14), tmp_path / "another seed")
    run(CONFIG.model_copy(update={"sampler": Mixed(num_negatives=3, num_top=2)}), ready(), tmp_path / "another sampler")
    trained = "train/part-00000-of-00001.parquet"
    assert len({files(tmp_path / n)[trained] for n in ("first", "another seed", "another sampler")}) == 3


def test_a_seed_changes_nothing_where_nothing_is_drawn(ready: Any, tmp_path: Path) -> None:
    top = CONFIG.model_copy(update={"sampler": TopK(num_negatives=3)})
    run(top, ready(seed=1), tmp_path / "one")
    run(top, ready(seed=2), tmp_path / "two")
    one, two = (files(tmp_path / name) for name in ("one", "two"))
    assert one.pop("audit.json") != two.pop("audit.json"), "the negatives to judge are drawn by the seed"
    assert one == two


def test_a_percentage_is_refused_on_this_scale(ready: Any, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"filters": [Percentage(teacher="bm")]})
    with pytest.raises(ScaleError, match=r"seen: scale 'standardised'\n  allowed: probability\n"):
        run(config, ready(), tmp_path / "out")


def test_an_unknown_teacher_is_refused(ready: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        run(CONFIG.model_copy(update={"teacher": "bn", "filters": []}), ready(), tmp_path / "out")
    assert str(error.value) == (
        "the candidates table has no teacher 'bn'\n  seen: bn\n  allowed: bm\n  next step: known: bm"
    )


def test_clusters_are_published_beside_the_table(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    """One number for each query that is left, the same for the same seed; as many clusters as were asked for."""
    import pyarrow.parquet as pq

    config = CONFIG.model_copy(update={"clusters": Clusters(model="encoder", num_clusters=3)})
    for name in ("first", "second"):
        metrics = run(config, inputs({"score": scored}, {"encoder": encoder_folder}), tmp_path / name)
    assert files(tmp_path / "first") == files(tmp_path / "second")
    told = pq.read_table(tmp_path / "first" / "clusters.parquet").to_pydict()
    rows = candidates.read(tmp_path / "first" / "train")
    assert told["query_id"] == list(dict.fromkeys(rows["query_id"].to_pylist()))
    assert set(told["cluster"]) == {0, 1, 2}
    assert metrics.values["clusters"]["count"] == 3
    too_many = CONFIG.model_copy(update={"clusters": Clusters(model="encoder", num_clusters=99)})
    with pytest.raises(DataError, match=r"fewer training queries than clusters\n.*\n  seen: 18 queries, 99 clusters"):
        run(too_many, inputs({"score": scored}, {"encoder": encoder_folder}), tmp_path / "many")


def test_labels_become_a_teacher_column_of_the_training_split(ready: Any, tmp_path: Path) -> None:
    run(CONFIG.model_copy(update={"labels": ClDrd(teacher="bm", num_top=2)}), ready(), tmp_path / "out")
    rows = candidates.read(tmp_path / "out" / "train")
    assert candidates.scale_of(rows, "cl_drd") == "rank"
    assert set(rows["teacher.cl_drd"].to_pylist()) == {1.0, 0.5, 0.0}
    assert "teacher.cl_drd" not in candidates.read(tmp_path / "out" / "dev").column_names
