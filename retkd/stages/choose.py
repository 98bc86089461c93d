"""Choose one of several encoders by its measure on dev and its size, and say why."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.parts import Candidates, Encoder
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "choose"
VERSION = 1
SEEDED = False
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("encoder",)


class Config(StageConfig):
    """The encoders, and the dev lists that they re-rank. A single encoder is taken as it is, without lists."""

    kind: Literal["choose"] = "choose"
    models: list[Encoder] = Field(min_length=1)
    candidates: Candidates | None = Field(default=None, description="a table with the split dev, which they re-rank")
    measure: str = "nDCG@10"
    dev_queries: int = Field(default=200, ge=1)
    size_exponent: float = Field(
        default=0.0, ge=0.0, description="the greatest measure / parameters ** this is taken; 0: the best measure"
    )

    @model_validator(mode="after")
    def _has_lists(self) -> "Config":
        if len(self.models) > 1 and self.candidates is None:
            raise ValueError("a choice among several models goes by dev: name a stage with `candidates`")
        return self


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Publish ``model/``, a copy of the chosen folder. The manifest has measure, parameters and score of each."""
    import shutil

    tried = _tried(config, inputs) if len(config.models) > 1 else {}
    # Of equals the first.
    chosen = max(tried, key=lambda ref: tried[ref]["score"]) if tried else config.models[0]
    shutil.rmtree(out / "model", ignore_errors=True)
    shutil.copytree(inputs.models[chosen].path, out / "model")
    values = {"chosen": chosen, "place": config.models.index(chosen) + 1, "of": len(config.models)}
    rule = f"{config.measure} / parameters ** {config.size_exponent:g}" if config.size_exponent else config.measure
    return Metrics(values={**values, **({"rule": f"greatest {rule} on dev", "tried": tried} if tried else {})})


def _tried(config: Config, inputs: Inputs) -> dict[str, dict[str, Any]]:
    from retkd import candidates as table
    from retkd.encoders.encoder import Encoder
    from retkd.errors import DataError
    from retkd.evaluation.dev_reranking import Reranking
    from retkd.resources import device

    assert config.candidates is not None
    artifact = inputs.artifacts[config.candidates]
    if "dev" not in table.splits(artifact):
        raise DataError(
            "a choice among models goes by the dev split, and the candidates have none",
            where=f"candidates: {config.candidates}",
            seen=f"splits: {', '.join(table.splits(artifact)) or 'none'}",
            allowed="candidates with a split named dev",
            next_step="mine the dev split too, or choose by hand",
        )
    lists = Reranking.of(table.read(artifact / "dev"), inputs.collection, config.dev_queries)
    where = device(inputs.runtime.device, inputs.runtime.threads)
    found: dict[str, dict[str, Any]] = {}
    for ref in config.models:
        encoder = Encoder.load(inputs.models[ref].path, where)
        measure = lists.measure_of(encoder, config.measure, inputs.runtime.tokens_per_batch)
        score = measure / encoder.num_parameters**config.size_exponent
        found[ref] = {config.measure: measure, "parameters": encoder.num_parameters, "score": score}
    return found
