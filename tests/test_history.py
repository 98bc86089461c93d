"""The history of a workspace: which runs are kept, and how they are tabulated."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd import screen
from retkd.errors import WorkspaceError
from retkd.history import keep, rows

STAGES = ("mine", "lists", "encoder", "score", "select", "train", "index", "encoder_index", "evaluate", "report")


def measured(*splits: str, **stages: str) -> dict[str, Any]:
    """The summary of a run of ten stages and of ``stages``, which are names and digests."""
    digests = {name: f"{place}abc" * 16 for place, name in enumerate(STAGES)} | stages
    return {
        "recipe": "tiny",
        "seed": 7,
        "splits": {split: {"student": {"nDCG@10": {"mean": 0.5}, "MRR@10": {"mean": 0.4}}} for split in splits},
        "gaps": {split: {"closed": 0.125} for split in splits},
        "wall_seconds": 222.0,
        "stages": {
            name: {"artifact": f"/runs/{name}", "key": f"key of {digest}", "digest": digest, "wall_seconds": 31.0}
            for name, digest in digests.items()
        },
    }


def kept(root: Path) -> list[list[str]]:
    """The splits of each run in the history."""
    return sorted(list(json.loads(path.read_text())["splits"]) for path in (root / "history").iterdir())


def test_a_run_that_evaluates_elsewhere_too_is_another_run(tmp_path: Path) -> None:
    """The stages of a transfer collection come after all those that the run before had."""
    keep(measured("test"), tmp_path)
    keep(measured("test", "cranfield/test", **{"evaluate-cranfield": "d" * 64}), tmp_path)
    assert kept(tmp_path) == [["test"], ["test", "cranfield/test"]]


@pytest.mark.parametrize("changed", [{"report": "d" * 64}, {"evaluate": "d" * 64}, {"mine": "0abc" + "d" * 60}])
def test_a_run_with_another_result_of_any_stage_is_another_run(tmp_path: Path, changed: dict[str, str]) -> None:
    keep(measured("test"), tmp_path)
    keep(measured("test", **changed), tmp_path)
    assert len(kept(tmp_path)) == 2


def test_another_seed_is_another_run_though_nothing_in_it_is_drawn(tmp_path: Path) -> None:
    keep(measured("test"), tmp_path)
    keep({**measured("test"), "seed": 8}, tmp_path)
    assert len(kept(tmp_path)) == 2


def test_the_same_result_is_kept_once_whatever_it_cost_and_wherever_it_lies(tmp_path: Path) -> None:
    again = measured("test")
    again["stages"]["train"] |= {"wall_seconds": 62.0, "artifact": "/elsewhere/train"}
    assert keep(measured("test"), tmp_path) == keep(again, tmp_path)
    assert kept(tmp_path) == [["test"]]


def test_a_measure_that_no_run_has_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    keep(measured("test"), tmp_path)
    for asked, step in {"nDCG": "\n  next step: did you mean 'nDCG@10'?", "P@5": "", "words": ""}.items():
        with pytest.raises(WorkspaceError) as error:
            rows(tmp_path, asked)
        assert str(error.value) == (
            f"no run in the history has the measure {asked!r}\n  where: {tmp_path / 'history'}\n"
            f"  seen: {asked}\n  allowed: nDCG@10, MRR@10{step}"
        )


def test_the_table_has_the_measure_of_each_system_the_share_closed_and_minutes_with_one_decimal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The minutes are the run's own: 3.7, where its ten stages took 5.2 in whichever run made them."""
    keep(measured("test"), tmp_path)
    screen.history(rows(tmp_path, "RR@10"), "RR@10")
    out, err = capsys.readouterr()
    header, row = out.splitlines()[1:]
    assert header.split() == ["when", "recipe", "seed", "split", "student", "closed", "minutes"]
    assert row.split()[2:] == ["tiny", "7", "test", "0.4000", "12.5", "%", "3.7"]
    assert err == ""


def test_a_run_that_was_kept_without_its_own_time_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = measured("test")
    del told["wall_seconds"]
    keep({**told, "gaps": {}}, tmp_path)
    screen.history(rows(tmp_path, "RR@10"), "RR@10")
    out, err = capsys.readouterr()
    assert out.splitlines()[2].split()[4:] == ["test", "0.4000", "-", "-"]
    assert err == "minutes -: that run was kept before runs told how long they took themselves\n"
