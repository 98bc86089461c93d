"""Checkpoints of a training: which are whole, and what of a model's state they hold."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

COMPLETE = "complete"
"""The file that says that a checkpoint was written to its end; it holds STOPPED where the training stopped there early."""
STOPPED = "stopped"


def once(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state without tensors that are another one of it under a second name."""
    kept = {(each.data_ptr(), each.shape, each.stride()): name for name, each in reversed(list(state.items()))}
    names = set(kept.values()) | {name for name, each in state.items() if each.numel() == 0}
    return {name: each for name, each in state.items() if name in names}


def last_whole_checkpoint(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end; others are removed."""
    found = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None
