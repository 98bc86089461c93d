"""What a run leaves in ``<workspace>/<recipe name>/`` for people and search stacks: report, exports, what to ask."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd.digests import digest_of
from retkd.references import named_model
from retkd.shards import atomic
from retkd.workspace import SERVED

if TYPE_CHECKING:
    from retkd.recipe import Recipe

MARK = ".delivered"


def deliver(
    recipe: "Recipe", artifacts: Mapping[str, Path], manifests: Mapping[str, Mapping[str, Any]], folder: Path
) -> None:
    """Copy the report, link the exports with the model card, write ``served.json``; what is there already stays."""
    card = None
    for name, config in recipe.stages.items():
        if config.kind == "report" and name in artifacts:
            card = artifacts[name] / "model_card.md"
            _copy(artifacts[name] / "report.html", folder / "report.html")
    for name, config in recipe.stages.items():
        if config.kind == "export" and name in artifacts:
            _export(artifacts[name], manifests[name]["digest"], card, folder / "exports" / name)
    served = _served(recipe, artifacts)
    if served is not None:
        with atomic(folder / SERVED) as temporary:
            temporary.write_text(json.dumps(served, indent=2) + "\n", encoding="utf-8")


def _export(artifact: Path, digest: str, card: Path | None, target: Path) -> None:
    """The artifact's folders, hard-linked where the file system can; the sentence-transformers one gets the model card."""
    mark = digest_of([digest, card.read_text(encoding="utf-8") if card else None])
    if (target / MARK).exists() and (target / MARK).read_text() == mark:
        return
    building = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    for source in sorted(path for path in artifact.iterdir() if path.is_dir()):
        shutil.copytree(source, building / source.name, copy_function=_linked)
        if card is not None and (source / "modules.json").is_file():
            shutil.copyfile(card, building / source.name / "README.md")
    (building / MARK).write_text(mark)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(building, target)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _served(recipe: "Recipe", artifacts: Mapping[str, Path]) -> dict[str, Any] | None:
    """The evaluated student, its index and its collection: what `retkd search` asks."""
    for name in artifacts:
        config = recipe.stages[name]
        student = config.systems.get("student") if config.kind == "evaluate" else None
        if student is not None and config.collection is None:
            model = _inside(recipe, artifacts, student.model)
            collection = recipe.collection.model_dump(mode="json")
            return {
                "kind": student.kind,
                "model": model,
                "index": artifacts[student.index].name,
                "collection": collection,
            }
    return None


def _inside(recipe: "Recipe", artifacts: Mapping[str, Path], model: str) -> str:
    """A stage's artifact, with the folder of the model where it has several; a model from outside as it is named."""
    stage, inside = named_model(recipe.stages, model) or (model, "")
    return str(Path(artifacts[stage].name, inside)) if stage in artifacts else model


def _copy(source: Path, target: Path) -> None:
    if not target.exists() or target.read_bytes() != source.read_bytes():
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
