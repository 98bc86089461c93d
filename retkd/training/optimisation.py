"""How a model is trained: steps, rates, checkpoints, looks at dev."""

from typing import Literal

from pydantic import Field, model_validator

from retkd.parts import Part


class Optimisation(Part):
    """How a model is trained. All of it is part of the key."""

    steps: int = Field(default=200, ge=0, description="optimiser steps; 0 publishes the model as initialised")
    learning_rate: float = Field(default=5e-5, gt=0.0)
    warmup_steps: int = Field(default=20, ge=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(default=0.01, ge=0.0)
    max_grad_norm: float = Field(default=1.0, gt=0.0)
    accumulation: int = Field(default=1, ge=1, description="batches per optimiser step")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 on a GPU that has it, else fp32"
    )
    save_every: int = Field(default=50, ge=1, description="steps between checkpoints")
    evaluate_every: int | None = Field(default=None, ge=1, description="steps between looks at dev; null: never")
    patience: int | None = Field(default=None, ge=1, description="looks at dev without a gain before stopping early")
    keep: Literal["last", "best"] = Field(default="last", description="which weights are published; best is by dev")

    @model_validator(mode="after")
    def _looks_at_dev(self) -> "Optimisation":
        if self.evaluate_every is None and (self.patience is not None or self.keep == "best"):
            raise ValueError("`patience` and `keep: best` go by looks at dev: set `evaluate_every`")
        return self
