"""Answer a query with the student and the index of a run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from retkd.errors import DataError, WorkspaceError, did_you_mean
from retkd.models import resolve
from retkd.summary import tells
from retkd.workspace import SERVED, Workspace, manifest


@dataclass(frozen=True)
class Answer:
    """One retrieved document."""

    rank: int
    score: float
    doc_id: str
    title: str
    text: str


def ask(query: str, root: Path, recipe: str | None, k: int) -> list[Answer]:
    """The ``k`` best documents of a recipe's collection by its student.

    Raises :class:`DataError` for a query without words, :class:`WorkspaceError` without a run.
    """
    from retkd.encoders import load_encoder
    from retkd.evaluation.systems import SYSTEMS
    from retkd.indexing.search import open_index

    if not query.strip():
        raise DataError("the query has no words", seen=repr(query), next_step='retkd search "what you look for"')
    space = Workspace(root)
    folder = _latest(space, recipe)
    served = space.served(folder.name)
    assert served is not None
    artifacts = root / "artifacts"
    if manifest(artifacts / served["index"]) is None:
        raise WorkspaceError("the index of this run is gone", where=served["index"], next_step="retkd run RECIPE")
    artifact = artifacts / served["model"]
    trained = next((folder for folder in (artifact / "model", artifact) if folder.is_dir()), None)
    model = trained or resolve(served["model"], space.digests).path
    encoder = load_encoder(SYSTEMS[served["kind"]].READS, model)  # type: ignore[attr-defined]
    scores, doc_ids = open_index(artifacts / served["index"]).search(encoder.represented([query], "query"), k)
    documents = _collection(served["collection"], space).documents_by_id(doc_ids[0])
    return [
        Answer(rank, float(score), document.doc_id, document.title, document.text)
        for rank, (score, document) in enumerate(zip(scores[0], documents, strict=False), 1)
    ]


def whose(root: Path, recipe: str | None = None) -> str:
    """Whose student :func:`ask` asks: the recipe, when it ran last and, where its summary tells this student, the measure.

    Raises :class:`WorkspaceError` without a run.
    """
    space = Workspace(root)
    folder = _latest(space, recipe)
    ran = datetime.fromtimestamp((folder / SERVED).stat().st_mtime, UTC)
    told = space.summary(folder.name)
    gap = told["gap"] if told is not None and tells(told, space.served(folder.name)) else None
    measured = (
        f", {gap['measure']} {gap['student']:.3f} on {gap['split']}" if gap and gap["student"] is not None else ""
    )
    return f"the student of {folder.name}{measured}; run of {ran:%Y-%m-%d %H:%M} UTC"


def _latest(space: Workspace, recipe: str | None) -> Path:
    ran = sorted(space.root.glob(f"*/{SERVED}"), key=lambda path: path.stat().st_mtime)
    names = [path.parent.name for path in ran]
    if recipe is not None and recipe not in names:
        raise WorkspaceError(
            f"no finished run of the recipe {recipe!r} in this workspace",
            where=space.root,
            seen=recipe,
            next_step=did_you_mean(recipe, names) if names else "retkd run RECIPE",
        )
    if not names:
        raise WorkspaceError(
            "no run in this workspace has a student to ask", where=space.root, next_step="retkd run quickstart"
        )
    return space.recipe_folder(recipe or names[-1])


def _collection(config: dict[str, object], space: Workspace):  # type: ignore[no-untyped-def]
    from pydantic import TypeAdapter

    from retkd.collections import AnyCollection

    return TypeAdapter(AnyCollection).validate_python(config).open(space.cached("collections"))
