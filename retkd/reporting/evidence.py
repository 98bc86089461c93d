"""Everything that a report shows, read once from the artifacts and manifests of a run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retkd.collections.base import Collection


@dataclass(frozen=True)
class Evaluation:
    """The JSON files of an evaluate stage, each keyed by split; ``languages`` is empty where none is told."""

    name: str
    measures: Mapping[str, Any]
    gap: Mapping[str, Any]
    won_lost: Mapping[str, Any]
    scores: Mapping[str, Any]
    protocol: Mapping[str, Any]
    languages: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, folder: Path) -> "Evaluation":
        """The evaluation in an artifact's folder."""
        files = ("measures", "gap", "won_lost", "scores", "protocol")
        languages = _json(folder / "languages.json") if (folder / "languages.json").exists() else {}
        return cls(name, **{file: _json(folder / f"{file}.json") for file in files}, languages=languages)

    @property
    def splits(self) -> list[str]:
        """The splits, ``test`` first."""
        return sorted(self.measures, key=lambda split: (split != "test", split))

    @property
    def headline_split(self) -> str:
        """The split that the first sentence speaks of."""
        return self.splits[0]


@dataclass(frozen=True)
class Evidence:
    """``dataset`` is what the collection is called; ``traces``, ``audits`` and ``disagreements`` are by stage; ``manifests`` are
    in the order of the run."""

    recipe: str
    evaluation: Evaluation
    dataset: str
    collection: Mapping[str, Any]
    manifests: Mapping[str, Mapping[str, Any]]
    others: list[Evaluation] = field(default_factory=list)
    traces: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    audits: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    disagreements: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def gathered(
    recipe: str,
    evaluation: str,
    reads: Iterable[str],
    artifacts: Mapping[str, Path],
    manifests: Mapping[str, Mapping[str, Any]],
    collection: "Collection",
) -> Evidence:
    """The evidence in the stages ``reads`` and ``evaluation``. Files that a stage does not write are passed over."""
    names = list(dict.fromkeys([*reads, evaluation]))
    evaluations = [name for name in names if (artifacts[name] / "measures.json").exists()]
    traces = {name: _lines(artifacts[name] / "trace.jsonl") for name in names}
    return Evidence(
        recipe=recipe,
        evaluation=Evaluation.read(evaluation, artifacts[evaluation]),
        others=[Evaluation.read(name, artifacts[name]) for name in evaluations if name != evaluation],
        dataset=collection.config.title,
        collection=collection.describe(),
        manifests={name: manifests[name] for name in names if name in manifests},
        traces={name: rows for name, rows in traces.items() if rows},
        audits=_where_written("audit.json", names, artifacts),
        disagreements=_where_written("disagreement.json", names, artifacts),
    )


def _where_written(file: str, names: Iterable[str], artifacts: Mapping[str, Path]) -> dict[str, Any]:
    return {name: _json(artifacts[name] / file) for name in names if (artifacts[name] / file).exists()}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
