"""Show what was found: one self-contained ``report.html``, and ``model_card.md`` for the exported student."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from retkd.parts import RETRIEVERS, StageInput
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "report"
VERSION = 1
OUTPUTS = ("report",)
VOLATILE: tuple[str, ...] = ("report.html",)
SEEDED = False

Evaluation = Annotated[str, StageInput(("evaluation",))]
MODELS = (
    "cross_encoder",
    "uni_encoder",
    "beca",
    *RETRIEVERS,
    "partner",
)
INDEXES = ("index", "sparse_index", "late_interaction_index")
OTHERS = ("queries", "candidates", "student_ranking", *INDEXES, "evaluation", "export")
AnyStageName = Annotated[str, StageInput((*OTHERS, *MODELS))]


class Config(StageConfig):
    """Which evaluation leads, and which other stages are shown beside it."""

    kind: Literal["report"] = "report"
    evaluation: Evaluation
    reads: list[AnyStageName] = Field(default=[], description="stages to show; default: all others of the recipe")
    license: str | None = Field(default=None, description="licence of the student, for its model card")


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Write both files."""
    from retkd.reporting.evidence import gathered
    from retkd.reporting.html import render
    from retkd.reporting.model_card import model_card
    from retkd.shards import atomic

    evidence = gathered(
        inputs.recipe_name,
        config.evaluation,
        config.reads,
        inputs.artifacts,
        inputs.manifests,
        inputs.collection,
    )
    pages = {"report.html": render(evidence), "model_card.md": model_card(evidence, license=config.license)}
    for name, text in pages.items():
        with atomic(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return Metrics(values={"stages_shown": len(evidence.manifests), "splits": evidence.evaluation.splits})
