"""Rank every judged query with every system, measure the rankings, and say what the differences are worth.

Writes ``runs/<split>/<system>.run.gz`` (TREC), ``per_query.parquet``, ``measures.json``, ``gap.json``,
``won_lost.json``, ``scores.json`` (score histograms of the dual encoders), ``languages.json`` (means by language, where
documents or queries tell it), ``protocol.json`` (how all this was made).
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from retkd.errors import RetkdError
from retkd.evaluation.names import cutoff_of, measure_name
from retkd.evaluation.systems import Retrieved, System, in_order
from retkd.parts import Candidates, Part
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "evaluate"
VERSION = 1
OUTPUTS = ("evaluation",)
VOLATILE: tuple[str, ...] = ()
SEEDED = True

Control = Literal["bm25", "zero_shot", "contrastive", "teacher"]


class TeacherScores(Part):
    """Where the control ``teacher`` finds its scores: a candidates table and one of its teacher columns."""

    candidates: Candidates
    teacher: str


class Config(StageConfig):
    """What is evaluated, by which measures, against what."""

    kind: Literal["evaluate"] = "evaluate"
    splits: list[str] | Literal["all", "evaluation"] = ["test"]
    measures: list[str] = Field(default=["nDCG@10", "MRR@10", "R@100"], min_length=1)
    primary: str = Field(default="nDCG@10", description="the measure of the gap and of the queries won and lost")
    systems: dict[str, System] = {}
    controls: list[Control] = Field(default=[], description="shorthand for systems; written out before the stage runs")
    teacher_scores: TeacherScores | None = Field(default=None, description="what the control `teacher` ranks by")
    depth: int = Field(default=100, ge=1, description="documents in each ranking")
    baseline: str = Field(default="control", description="paired tests are against this system, if it is there")
    teacher: str = "teacher"
    student: str = "student"
    num_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)
    num_examples: int = Field(default=8, ge=0, description="queries won and lost that are shown with their texts")

    @field_validator("measures", "primary")
    @classmethod
    def _known(cls, names: Any) -> Any:
        try:
            return [measure_name(name) for name in names] if isinstance(names, list) else measure_name(names)
        except RetkdError as error:
            raise ValueError(". ".join(filter(None, [error.what, error.next_step]))) from error

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.primary not in self.measures:
            raise ValueError(f"`primary` {self.primary} is not among `measures`: {', '.join(self.measures)}")
        deepest = max(self.measures, key=lambda name: cutoff_of(name) or 0)
        if (cutoff_of(deepest) or 0) > self.depth:
            raise ValueError(
                f"`depth` {self.depth} is too small for {deepest}: the ranking would end before the cutoff"
            )
        if not self.systems and not self.controls:
            raise ValueError("nothing to evaluate: give `systems`, or `controls`")
        if {"zero_shot", "contrastive"} & set(self.controls) and not isinstance(self.systems.get("student"), Retrieved):
            raise ValueError(
                "the controls zero_shot and contrastive copy systems.student, "
                "which must be of kind dense, sparse or late_interaction"
            )
        if "teacher" in self.controls and "teacher" not in self.systems and self.teacher_scores is None:
            raise ValueError("the control `teacher` needs `teacher_scores: {candidates: STAGE, teacher: NAME}`")
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Evaluate every split. A run file that a killed attempt left is whole, and is measured as it is."""
    from retkd.collections.base import chosen_splits
    from retkd.evaluation.artifact import write_artifact
    from retkd.evaluation.rankings import rank
    from retkd.indexing.search import open_for

    splits = chosen_splits(inputs.collection, config.splits)
    ranked = rank(config.systems, splits, config.depth, inputs, out, partial(open_for, inputs.runtime))
    results = {split: _results(config, inputs, split, out) for split in splits}
    write_artifact(out, results, _protocol(config, inputs, results))
    means = {
        split: {system: told[config.primary]["mean"] for system, told in result["measures"].items()}
        for split, result in results.items()
    }
    num_queries = sum(len(inputs.collection.queries(split)) for split in splits)
    num_judged = sum(len(result["values"].query_ids) for result in results.values())
    return Metrics(
        rows_in=num_queries,
        rows_out=num_judged,
        rows_dropped={"query without judgements": num_queries - num_judged},
        truncation_rate=ranked.truncation,
        values={
            "measure": config.primary,
            **means,
            "gap_closed": {s: r["gap"]["closed"] for s, r in results.items()},
            **({"sparsity": ranked.sparsity} if ranked.sparsity else {}),
        },
        timings=ranked.timings,
    )


def _results(config: Config, inputs: Inputs, split: str, out: Path) -> dict[str, Any]:
    """Everything that is told about one split, from its run files."""
    from retkd import trec
    from retkd.evaluation.comparison import Resampling, compared
    from retkd.evaluation.gap import gap
    from retkd.evaluation.judged import judged
    from retkd.evaluation.languages import by_language, language_pairs
    from retkd.evaluation.rankings import run_path
    from retkd.evaluation.won_lost import won_lost

    runs = ((name, trec.read_run(run_path(out / "runs", split, name))) for name in in_order(config.systems))
    encoders = [name for name, system in config.systems.items() if isinstance(system, Retrieved)]
    found = judged(runs, inputs.collection.qrels(split), config.measures, encoders)
    resampling = Resampling(config.num_resamples, config.confidence, inputs.seed)
    means = resampling.means(found.values)
    roles = (config.baseline, config.student, config.teacher)
    pairs = language_pairs(inputs.collection, split)
    shown = (inputs.collection, split, config.primary, config.student, config.baseline, config.num_examples)
    return {
        "values": found.values,
        "measures": compared(found.values, means, config.baseline, resampling),
        "gap": gap(found.values, means, config.primary, roles, resampling),
        "won_lost": won_lost(found.values, found.firsts, *shown),
        "scores": found.scores,
        "languages": by_language(found.values, pairs) if pairs else {},
    }


def _protocol(config: Config, inputs: Inputs, results: dict[str, Any]) -> dict[str, Any]:
    """How the numbers were made, for whoever reads them without the recipe."""
    named = ("measures", "primary", "baseline", "teacher", "student", "depth", "num_resamples", "confidence")
    counts = {
        split: {"evaluated": len(r["values"].query_ids), "all": len(inputs.collection.queries(split))}
        for split, r in results.items()
    }
    return {name: getattr(config, name) for name in named} | {
        "seed": inputs.seed,
        "queries": counts,
        "systems": {name: config.systems[name].kind for name in sorted(config.systems)},
        "test": "two-sided paired randomisation test, raw p-values, not corrected for several systems",
        "intervals": "percentile bootstrap over queries",
        "gain": "nDCG with linear gain, as trec_eval",
    }
