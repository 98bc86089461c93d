"""One student, one budget, one collection: which objective? `python benchmarks/students.py`; variants.py takes other studies.

Each variant changes one part of benchmarks/students.yaml. Every student has its own control: the same candidates, steps and
seed, InfoNCE alone. Values of a query are averaged over the seeds before anything is compared.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("RETKD_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.table import Table

from benchmarks import machine
from benchmarks.pool import made_pool
from benchmarks.table import console
from benchmarks.variants import STUDIES
from retkd import runner
from retkd.evaluation.significance import bootstrap_means, interval, paired_p_value
from retkd.plan import chosen
from retkd.recipe import load
from retkd.shards import atomic
from retkd.workspace import Workspace

RECIPE = Path(__file__).with_name("students.yaml")
EVALUATION = "evaluate-pool"
RESAMPLES = 10_000


def main(arguments: list[str] | None = None) -> int:
    """Train every variant with every seed, print the tables, write the JSON."""
    asked = _parser().parse_args(arguments)
    space = Workspace(asked.workspace)
    pool = made_pool(Path(os.environ["RETKD_DATA"]) / "msmarco-mini", asked.workspace / "pool")
    os.environ["RETKD_POOL"] = str(pool)
    results: dict[str, Any] = {"machine": machine.describe(), "versions": machine.versions(), "seeds": asked.seeds}
    results["measure"], results["studies"] = asked.measure, {}
    for study in asked.only or list(STUDIES):
        found: dict[str, dict[str, np.ndarray]] = {}
        for variant, changes in _asked(study, asked.variant).items():
            settings = [*changes, *asked.set]
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{study}-{variant}")
            found[variant] = values(space, name, settings, asked.seeds, asked.measure)
            results["studies"][study] = compared(found)
            with atomic(asked.out) as temporary:
                temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        show(study, results)
    print(f"written: {asked.out}")
    return 0


def _asked(study: str, variants: list[str]) -> dict[str, list[str]]:
    """All variants of a study, or those that were named and are in it."""
    return {name: changes for name, changes in STUDIES[study].items() if not variants or name in variants}


def values(space: Workspace, name: str, settings: list[str], seeds: list[int], measure: str) -> dict[str, np.ndarray]:
    """system -> value of each dev query in the order of their ids, mean over the seeds."""
    found: list[dict[str, np.ndarray]] = []
    for seed in seeds:
        recipe = load(RECIPE, [*settings, f"name={name}-{seed}"], seed)
        print(f"== {name}, seed {seed}", file=sys.stderr, flush=True)
        runner.run(recipe, space, chosen(recipe, until=EVALUATION))
        artifact = space.root / "artifacts" / space.stages(recipe.name)[EVALUATION]
        found.append(_per_query(artifact / "per_query.parquet", measure))
    return {system: np.mean([each[system] for each in found], axis=0) for system in found[0]}


def _per_query(path: Path, measure: str) -> dict[str, np.ndarray]:
    rows = pq.read_table(path)
    rows = rows.filter(pc.equal(rows["measure"].cast("string"), measure)).sort_by("query_id")
    systems = rows["system"].cast("string")
    return {
        system: rows.filter(pc.equal(systems, system))["value"].to_numpy() for system in systems.unique().to_pylist()
    }


def compared(found: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Means with 95 % intervals; each student against its control and against the first variant, by randomisation."""
    first = next(iter(found.values()))["student"]
    return {variant: _row(each, first) for variant, each in found.items()}


def _row(each: dict[str, np.ndarray], first: np.ndarray) -> dict[str, Any]:
    student, control, teacher = (each[name] for name in ("student", "control", "teacher"))
    resampled = bootstrap_means(np.stack([student, student - control], axis=1), num_resamples=RESAMPLES, seed=0)
    gap = teacher.mean() - control.mean()
    return {
        "queries": len(student),
        "means": {system: float(value.mean()) for system, value in each.items()},
        "student_interval": interval(resampled[:, 0], 0.95),
        "gain": float((student - control).mean()),
        "gain_interval": interval(resampled[:, 1], 0.95),
        "p_against_control": paired_p_value(student - control, num_resamples=RESAMPLES, seed=0),
        "p_against_first": paired_p_value(student - first, num_resamples=RESAMPLES, seed=0),
        "gap_closed": float((student - control).mean() / gap) if gap > 0 else None,
    }


def show(study: str, results: dict[str, Any]) -> None:
    """The table of one study."""
    rows = results["studies"][study]
    first = next(iter(rows))
    title = f"{study}: dev {results['measure']}, mean of seeds {', '.join(map(str, results['seeds']))}, "
    table = Table(title=f"{title}{rows[first]['queries']} queries", title_justify="left", box=None, pad_edge=False)
    for position, column in enumerate(
        ["", "student", "95 %", "control", "gain", "95 %", "p", "teacher", f"p to {first}"]
    ):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    for variant, row in rows.items():
        means = row["means"]
        table.add_row(
            variant,
            f"{means['student']:.3f}",
            "{:.3f} - {:.3f}".format(*row["student_interval"]),
            f"{means['control']:.3f}",
            f"{row['gain']:+.3f}",
            "{:+.3f} - {:+.3f}".format(*row["gain_interval"]),
            f"{row['p_against_control']:.3f}",
            f"{means['teacher']:.3f}",
            f"{row['p_against_first']:.3f}",
        )
    console().print(table)
    console().print(f"BM25 {rows[first]['means'].get('bm25', float('nan')):.3f}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(STUDIES), action="append", help="one study; may be given several times")
    parser.add_argument("--variant", action="append", default=[], help="of the study; may be given several times")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 14, 15])
    parser.add_argument("--measure", default="nDCG@10")
    parser.add_argument("--set", action="append", default=[], help="key=value for every variant, as in retkd run")
    parser.add_argument("--workspace", type=Path, default=Path("runs-students"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("students.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
