"""retkd beside what a user would pick instead: `make bench`, or `python benchmarks/run.py --only scoring --small`."""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import budget, encoding, grad_cache, machine, mining, quantised, scoring, training
from benchmarks.measure import UnequalError
from benchmarks.setting import DATA, MODEL, SMALL, Setting, Sizes
from benchmarks.table import show
from retkd.digests import FileDigests
from retkd.models import resolve
from retkd.shards import atomic

MEASUREMENTS = {
    "scoring": scoring.measure,
    "encoding": encoding.measure,
    "training": training.measure,
    "mining": mining.measure,
}
ON_REQUEST = {
    "budget": budget.measure,
    "quantised": quantised.measure,
    "grad_cache": grad_cache.measure,
    "grad_cache_large": grad_cache.measure_large,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; exit code 1 when two contenders disagree on the result. A missed goal is no failure."""
    asked = _parser().parse_args(arguments)
    if not (asked.data / "bm25.candidates.tsv").is_file():
        print(f"no bm25.candidates.tsv in {asked.data}; set RETKD_DATA or --data", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        digests = FileDigests(work / "digests.json")
        model = resolve(asked.model, digests).path
        trained = resolve(asked.cross_encoder, digests).path if asked.cross_encoder else None
        sizes = SMALL if asked.small else Sizes()
        if asked.all:
            sizes = replace(sizes, queries=None)
        setting = Setting(asked.data, model, work, sizes, asked.repeats, asked.seed, trained)
        try:
            results = run(setting, [asked.only] if asked.only else list(MEASUREMENTS))
        except UnequalError as error:
            print(error, file=sys.stderr)
            return 1
    show(results)
    with atomic(asked.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"written: {asked.out}")
    return 0


def run(setting: Setting, names: list[str]) -> dict[str, Any]:
    """The named measurements with everything that is needed to read them."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    described = machine.describe()
    chosen = MEASUREMENTS | ON_REQUEST
    return {
        "machine": described,
        "versions": machine.versions(),
        "seed": setting.seed,
        "repeats": setting.repeats,
        "sizes": vars(setting.sizes),
        "measurements": {name: chosen[name](setting) for name in names},
        "load_average_1min_at_the_end": machine.load_average(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*MEASUREMENTS, *ON_REQUEST], help="one measurement")
    parser.add_argument("--small", action="store_true", help="a minute in all, to see that it works")
    parser.add_argument("--all", action="store_true", help="score the candidates of every query, not of 24")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA, help="a BEIR folder that also holds bm25.candidates.tsv")
    parser.add_argument("--model", default=MODEL, help="a text encoder: folder, package:NAME/FOLDER or hub id")
    parser.add_argument("--cross-encoder", help="a trained one, for `quantised`: folder, package:NAME/FOLDER or hub id")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
