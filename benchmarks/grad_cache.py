"""Training one pass at a time (``runtime.grad_cache``) beside all passes at once: what it saves of memory, what it costs.

Each run is a process of its own, so that its peak memory is its own; `added` is what training adds to the loaded model and
texts. The losses of every step are equal: dropout, which is on, draws the same.
"""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.limit import Work
from benchmarks.measure import Contender, Outcome, Subject, interleaved
from benchmarks.setting import ROOT, Setting
from benchmarks.training import TOLERANCE, prepared, real_tokens, run_retkd, student_of

ONCE, CACHED = "all passes at once", "grad_cache"
LARGE = 8


def measure(setting: Setting, times: int = 1) -> dict[str, Any]:
    """Seconds per optimiser step and memory; ``times`` as many queries in a batch as the size says, two steps."""
    sizes = replace(setting.sizes, batch_queries=setting.sizes.batch_queries * times, steps=2)
    here = replace(setting, sizes=sizes)
    contenders = [
        Contender(name, partial(_in_a_process, here, name == CACHED), ours=name == CACHED) for name in (CACHED, ONCE)
    ]
    lesson, student = prepared(here), student_of(here)
    lengths, facts = real_tokens(lesson, student)
    gflop = Work.of(student.model[0].auto_model).training(lengths) / sizes.steps
    subject = Subject(
        "grad_cache",
        "steps",
        1,
        gflop,
        TOLERANCE,
        {"queries_per_step": sizes.batch_queries, **facts},
        as_called_goal=False,
        share_goal=None,
        warm_up=False,
    )
    return interleaved(subject, contenders, setting.repeats, sizes.matmul)


def measure_large(setting: Setting) -> dict[str, Any]:
    """The same with eight times the batch."""
    return measure(setting, LARGE)


def _in_a_process(setting: Setting, cached: bool) -> Outcome:
    """Run this file for one contender; the losses, seconds and memory."""
    asked, out = setting.work / "asked.pickle", setting.work / "told.npz"
    asked.write_bytes(pickle.dumps((replace(setting), cached)))
    command = [sys.executable, str(Path(__file__).resolve()), str(asked), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(f"the training failed: {ended.stderr[-2000:]}")
    with np.load(out) as told:
        return Outcome(told["losses"], *(float(told[name]) for name in ("seconds", "peak_mib", "added_mib")))


def main(asked: Path, out: Path) -> None:
    """Train as one contender."""
    from retkd.resources import measured, release_memory
    from retkd.training.passes import Passes

    setting, cached = pickle.loads(asked.read_bytes())
    lesson, student = prepared(setting), student_of(setting, dropout=0.1)
    release_memory()
    with measured() as before:
        pass
    with measured() as cost:
        told = run_retkd(lesson, student, passes=Passes(cached))
    added = cost.peak_memory_mib - before.peak_memory_mib
    np.savez(out, losses=told.result, seconds=told.seconds, peak_mib=cost.peak_memory_mib, added_mib=added)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main(*map(Path, sys.argv[1:3]))
