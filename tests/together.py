"""Several processes of one run, forked from the tests' own."""

import multiprocessing
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

FORK = multiprocessing.get_context("fork")


def together(work: Callable[[], Any], num_processes: int = 2) -> list[Any]:
    """What ``work`` gives in each process; an exception is given back as itself."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        processes = [
            FORK.Process(target=_run, args=(work, number, num_processes, port, folder / str(number)))
            for number in range(num_processes)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * num_processes
        return [pickle.loads((folder / str(number)).read_bytes()) for number in range(num_processes)]


UNSEEN = ("key.bias", "classifier.bias")


def near(one: "Mapping[str, Tensor]", other: "Mapping[str, Tensor]", tolerance: float) -> bool:
    """Whether all weights are so near. A softmax sees neither the biases of keys nor one number added to all scores of a list:
    these have a gradient of rounding errors alone, which Adam makes as large as any other, so that they are left out."""
    told = [
        float((one[name] - other[name]).abs().max()) for name in one.keys() & other.keys() if not name.endswith(UNSEEN)
    ]
    return one.keys() == other.keys() and max(told) <= tolerance


def _run(work: Callable[[], Any], number: int, num_processes: int, port: int, told: Path) -> None:
    import torch

    from retkd import processes

    torch.set_num_threads(1)
    place = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": num_processes, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    try:
        found = work()
    except Exception as error:
        found = error
    told.write_bytes(pickle.dumps(found))
    processes.leave()
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
