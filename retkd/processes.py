"""The processes of one run, as torchrun and accelerate start them: which of them this is, and how they wait for each other.

The first one runs every stage; the others join it in training (:func:`retkd.runner.follow`). Messages and waits go through
the launcher's key-value store, where a wait may last as long as the longest stage. All processes must see the same files.
"""

import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count as numbers
from typing import Any, TypeVar

LONGEST_WAIT = timedelta(days=20)
Value = TypeVar("Value")


def count() -> int:
    """How many processes this run has; 1 where no launcher has started it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def number() -> int:
    """Which of them this is, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def number_on_machine() -> int:
    """Which of those on its machine this is, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if count() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that runs the stages, publishes and speaks."""
    return number() == 0


def join() -> None:
    """Join the others, once: collectives of tensors, over NCCL on CUDA and gloo on the CPU, work from here on."""
    _store()


def from_first(make: Callable[[], Value]) -> Value:
    """In every process, what ``make`` gives in the first one. It must be possible to pickle it."""
    if count() == 1:
        return make()
    store, key = _next("told")
    if is_first():
        value = make()
        store.set(key, pickle.dumps(value))
        return value
    store.wait([key], LONGEST_WAIT)
    told: Value = pickle.loads(store.get(key))
    return told


def wait() -> None:
    """Until every process has come here."""
    if count() == 1:
        return
    store, key = _next("here")
    if store.add(key, 1) == count():
        store.set(f"{key}/all", b"1")
    store.wait([f"{key}/all"], LONGEST_WAIT)


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The block in the first process, then in the others: these find what it has stored."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def leave() -> None:
    """End what :func:`join` began, at the end of every process. The first one, which may hold the store, goes last."""
    if not _store.cache_info().currsize:
        return
    import torch.distributed as dist

    store, key = _next("left")
    if not is_first():
        store.add(key, 1)
    else:
        while store.add(key, 0) < count() - 1:
            time.sleep(0.01)
    dist.destroy_process_group()
    _store.cache_clear()


def _next(kind: str) -> tuple[Any, str]:
    """The store, and a key that every process has at its n-th message or wait."""
    store, place = _store()
    return store, f"{kind}/{next(place)}"


@cache
def _store() -> tuple[Any, Iterator[int]]:
    import torch
    import torch.distributed as dist

    store, own_number, num_processes = next(dist.rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=own_number, world_size=num_processes)
    return dist.PrefixStore("retkd", store), numbers()
