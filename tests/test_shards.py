"""Shards: written beside and renamed, made when missing, by any executor."""

from pathlib import Path

import pytest

from retkd.errors import MissingExtraError
from retkd.shards import atomic, ranges, shard_map, shard_name


def write_number(index: int, path: Path) -> None:
    """What a shard holds depends on its index alone."""
    path.write_text(f"shard {index}\n")


def paths_in(folder: Path, count: int = 4) -> list[Path]:
    return [folder / shard_name(i, count, "txt") for i in range(count)]


def test_names_sort_as_their_numbers() -> None:
    assert shard_name(7, 64) == "part-00007-of-00064.parquet"
    names = [shard_name(i, 1200, "npz") for i in range(1200)]
    assert names == sorted(names)


@pytest.mark.parametrize(("num_rows", "rows_per_shard"), [(0, 3), (1, 3), (3, 3), (10, 3), (10, 1), (2, 100)])
def test_ranges_cover_every_row_once(num_rows: int, rows_per_shard: int) -> None:
    found = ranges(num_rows, rows_per_shard)
    assert [row for start, stop in found for row in range(start, stop)] == list(range(num_rows))
    assert all(stop - start <= rows_per_shard for start, stop in found)
    assert len(found) == max(1, -(-num_rows // rows_per_shard))


def test_atomic_renames_what_was_written_and_leaves_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    with atomic(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_text() == "whole"


def test_atomic_keeps_what_stood_there_when_the_block_raises(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")

    def write_half() -> None:
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_half()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def test_only_missing_shards_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = paths_in(tmp_path)
    paths[2].write_text("made before\n")
    assert shard_map(write_number, paths, label="numbers") == 3
    assert [path.read_text() for path in paths] == ["shard 0\n", "shard 1\n", "made before\n", "shard 3\n"]
    assert shard_map(write_number, paths, label="numbers") == 0
    assert capsys.readouterr().err.splitlines() == [
        "numbers: 1 of 4 were done before",
        "numbers: 4 of 4 were done before",
    ]


def test_a_shard_that_raises_leaves_the_finished_ones_and_no_trace_of_itself(tmp_path: Path) -> None:
    def write(index: int, path: Path) -> None:
        path.write_text("half")
        if index == 2:
            raise RuntimeError("shard 2")
        write_number(index, path)

    paths = paths_in(tmp_path)
    with pytest.raises(RuntimeError, match="shard 2"):
        shard_map(write, paths, label="numbers")
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in paths[:2]]
    assert shard_map(write_number, paths, label="numbers") == 2


def test_processes_write_what_this_process_would(tmp_path: Path) -> None:
    inline, processes = paths_in(tmp_path / "inline"), paths_in(tmp_path / "processes")
    shard_map(write_number, inline, label="numbers")
    assert shard_map(write_number, processes, label="numbers", executor="processes", workers=2) == 4
    assert [path.read_bytes() for path in processes] == [path.read_bytes() for path in inline]


def write_or_fail(index: int, path: Path) -> None:
    """Shard 1 cannot be made."""
    if index == 1:
        raise ValueError("shard 1 cannot be made")
    write_number(index, path)


def test_an_error_in_another_process_comes_here(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shard 1 cannot be made"):
        shard_map(write_or_fail, paths_in(tmp_path), label="numbers", executor="processes", workers=1)
    assert not paths_in(tmp_path)[1].exists()


def test_ray_that_is_not_installed_names_its_extra(tmp_path: Path) -> None:
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError) as error:
            shard_map(write_number, paths_in(tmp_path), label="numbers", executor="ray")
        assert str(error.value) == (
            "runtime.executor: ray needs the package ray, which is not installed\n  next step: pip install 'retkd[ray]'"
        )
    else:
        assert shard_map(write_number, paths_in(tmp_path), label="numbers", executor="ray", workers=2) == 4
