"""The device that was asked for, or an error; what a block cost."""

import time

import pytest
import torch

from retkd.errors import ModelError
from retkd.resources import device, measured


def test_a_device_that_is_not_here_is_an_error_and_never_another_device() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ModelError) as error:
        device("cuda:1")
    here = "cpu, mps" if torch.backends.mps.is_available() else "cpu"
    assert str(error.value) == (
        "the device cuda:1 is not available to torch here\n"
        "  where: runtime.device\n"
        "  seen: cuda:1\n"
        f"  allowed: auto, {here}\n"
        "  next step: set runtime.device, or install the torch build for that device"
    )
    with pytest.raises(ModelError, match="the device cpuu is not available"):
        device("cpuu")


def test_a_device_of_a_number_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert [device(name) for name in ("auto", "cuda", "cuda:0", "cuda:1")] == ["cuda", "cuda", "cuda:0", "cuda:1"]
    for name in ("cuda:2", "cuda:x", "mps"):
        with pytest.raises(ModelError, match="allowed: auto, cpu, cuda, cuda:1\n"):
            device(name)


def test_the_cpu_with_as_many_threads_as_asked() -> None:
    before = torch.get_num_threads()
    try:
        assert device("cpu", threads=before + 1) == "cpu"
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert device("auto") in ("cpu", "cuda", "mps")


def test_a_block_is_measured_also_when_it_raises() -> None:
    with measured() as cost:
        block = bytearray(64 * 2**20)
        time.sleep(0.02)
    assert cost.wall_seconds >= 0.02
    assert cost.peak_memory_mib > len(block) / 2**20
    failed = measured()
    with pytest.raises(KeyError), failed as cost:
        raise KeyError
    assert cost.peak_memory_mib > 0
