"""What a stage's result depends on, and nothing else: the inputs of its key."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from retkd.digests import digest_of
from retkd.parts import FileInput, Marker, StageInput, substituted
from retkd.references import named_stage
from retkd.stage import Model
from retkd.stages import STAGES

if TYPE_CHECKING:
    from retkd.recipe import Recipe

FORMAT = 1
NOT_PARAMETERS = ("kind", "seed", "collection", "queries")
"""``queries`` counts through the digest of the collection that the stage reads."""


def key_inputs(
    recipe: "Recipe",
    name: str,
    collection_digest: str,
    digests: Mapping[str, str],
    models: Mapping[str, Model],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Canonical data whose SHA-256 is the key of stage ``name``.

    Stages that it reads stand in it by the digest of their outputs, models by their weights, files by their content:
    a rename or a move changes nothing. ``runtime`` is not in it.
    """
    config = recipe.stages[name]
    stage = STAGES[config.kind]

    def replace(marker: Marker, value: Any) -> str:
        if isinstance(marker, FileInput):
            return f"file:{files[value]}"
        other = value if isinstance(marker, StageInput) else named_stage(recipe.stages, value)
        if other in recipe.stages:
            return f"stage:{digests[other]}{value[len(other) :]}"
        if isinstance(marker, StageInput):
            raise KeyError(value)
        return f"model:{models[value].digest}"

    params = substituted(config, replace)
    told = {
        "format": FORMAT,
        "kind": config.kind,
        "version": stage.VERSION,
        "params": {field: value for field, value in params.items() if field not in NOT_PARAMETERS},
        "collection": collection_digest,
    }
    return {**told, "seed": recipe.seed_of(name)} if stage.SEEDED else told


def key_of(told: Mapping[str, Any]) -> str:
    """The key: SHA-256 of the canonical JSON."""
    return digest_of(told)
