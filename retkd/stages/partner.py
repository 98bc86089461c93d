"""Publish what was trained beside a student as a model that other stages can name: a teacher, a base, a system."""

import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from retkd.errors import RecipeError
from retkd.parts import StageInput
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "partner"
VERSION = 1
SEEDED = False
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("encoder", "cross_encoder")

Trained = Annotated[str, StageInput(("partner",))]


class Config(StageConfig):
    """The train stage with `co_train`, and what its partner is."""

    kind: Literal["partner"] = "partner"
    train: Trained
    model: Literal["cross_encoder", "encoder"] = Field(description="the kind of its `co_train`")

    @property
    def gives(self) -> tuple[str, ...]:
        """The model that was told."""
        return (self.model,)


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/``, a copy of the partner."""
    folder = inputs.artifacts[config.train] / "partner"
    found = "encoder" if (folder / "modules.json").is_file() else "cross_encoder"
    if found != config.model:
        raise RecipeError(
            "the partner is another kind of model than the stage says",
            where=f"a stage of kind partner that reads {config.train}, key model",
            seen=config.model,
            allowed=found,
            next_step=f"set model: {found}",
        )
    shutil.rmtree(out / "model", ignore_errors=True)
    shutil.copytree(folder, out / "model")
    return Metrics(values={"model": found})
