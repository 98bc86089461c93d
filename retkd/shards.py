"""A map over a fixed plan of shards that can be killed at any moment and goes on where it was.

A shard is one file, written beside its name and renamed. The plan is part of the stage's key, so a shard's name says
what is in it: an existing file is finished, a missing one is not begun. Executors: this process, local processes, Ray.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from retkd.errors import MissingExtraError
from retkd.progress import track

Executor = Literal["inline", "processes", "ray"]


def shard_name(index: int, num_shards: int, suffix: str = "parquet") -> str:
    """``part-00007-of-00064.parquet``."""
    return f"part-{index:05d}-of-{num_shards:05d}.{suffix}"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; renamed to it when the block ends well, removed when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def ranges(num_rows: int, rows_per_shard: int) -> list[tuple[int, int]]:
    """(start, stop) of each shard. No rows still make one, empty, shard.

    >>> ranges(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    starts = range(0, max(num_rows, 1), rows_per_shard)
    return [(start, min(start + rows_per_shard, num_rows)) for start in starts]


def shard_map(
    write_shard: Callable[[int, Path], None],
    paths: Sequence[Path],
    *,
    label: str,
    executor: Executor = "inline",
    workers: int = 1,
) -> int:
    """Make every file of ``paths`` that is missing with ``write_shard(index, temporary_path)``; how many were made.

    ``write_shard`` must depend on its index alone. With ``processes`` and ``ray`` it must be picklable.
    """
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    done = len(paths) - len(missing)
    run = {"inline": _inline, "processes": _processes, "ray": _ray}[executor]
    with track(label, total=len(paths), done=done) as step:
        for _ in run(write_shard, paths, missing, workers):
            step(1)
    return len(missing)


def _write(write_shard: Callable[[int, Path], None], path: Path, index: int) -> int:
    with atomic(path) as temporary:
        write_shard(index, temporary)
    return index


def _inline(
    write_shard: Callable[[int, Path], None], paths: Sequence[Path], missing: list[int], workers: int
) -> Iterator[int]:
    for index in missing:
        yield _write(write_shard, paths[index], index)


def _processes(
    write_shard: Callable[[int, Path], None], paths: Sequence[Path], missing: list[int], workers: int
) -> Iterator[int]:
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write, write_shard, paths[index], index) for index in missing]
        for future in as_completed(futures):
            yield future.result()


def _ray(
    write_shard: Callable[[int, Path], None], paths: Sequence[Path], missing: list[int], workers: int
) -> Iterator[int]:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "runtime.executor: ray") from error
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    task = ray.remote(_write)
    waiting = list(missing)
    running: list[object] = []
    while waiting or running:
        while waiting and len(running) < workers:
            index = waiting.pop(0)
            running.append(task.remote(write_shard, paths[index], index))
        ready, running = ray.wait(running)
        yield from ray.get(ready)
