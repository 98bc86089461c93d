"""Artifacts on disk: named by what went in, trusted only when their manifest stands.

    <workspace>/artifacts/<kind>-<key12>/   one stage's result; manifest.json is renamed into place last
    <workspace>/<recipe name>/              stages.json, collections.json, summary.json, report.html of the latest run
    <workspace>/store/                      pair scores and corpus vectors, shared by all recipes
    <workspace>/cache/                      whatever can be made again

A folder without a manifest is an attempt that was cut short: the next run goes on in it. Its ``work`` subfolder is
scratch (checkpoints), removed once the manifest stands and never part of the digest.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from retkd.digests import FileDigests, digest_file, digest_of
from retkd.errors import WorkspaceError
from retkd.shards import atomic

MANIFEST = "manifest.json"
WORK = "work"
COLLECTIONS = "collections.json"
SUMMARY = "summary.json"
SERVED = "served.json"


class Workspace:
    """The folder that holds all runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.cache = root / "cache"
        with self._within_reach():
            self.digests = FileDigests(self.cache / "file-digests.json")

    def cached(self, name: str) -> Path:
        """A folder of the cache, made where it is not there yet. Raises :class:`WorkspaceError` where it cannot be."""
        folder = self.cache / name
        with self._within_reach():
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _within_reach(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                "no workspace can be kept here",
                where=self.root,
                seen=error.strerror,
                allowed="a folder that you may write to, or the name of one that can be made",
                next_step="give another one: --workspace FOLDER, or the variable RETKD_WORKSPACE",
            ) from error

    def artifact(self, kind: str, key: str) -> Path:
        """The folder of a stage's result, there or not."""
        return self.root / "artifacts" / f"{kind}-{key[:12]}"

    def recipe_folder(self, name: str) -> Path:
        """Where the latest run of a recipe is told."""
        return self.root / name

    def stages(self, name: str) -> dict[str, str]:
        """Stage name -> artifact folder name, of the latest run of a recipe."""
        path = self.recipe_folder(name) / "stages.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def summary(self, name: str) -> dict[str, Any] | None:
        """What summary.json tells of a recipe, or None when it never ran."""
        path = self.recipe_folder(name) / SUMMARY
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def served(self, name: str) -> dict[str, Any] | None:
        """What ``retkd search`` asks of a recipe, as its runs left it; None where none came to an index."""
        path = self.recipe_folder(name) / SERVED
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def collections(self, name: str) -> list[dict[str, Any]]:
        """The collections of the latest run of a recipe, its own first, as a recipe has them; empty when it never ran."""
        path = self.recipe_folder(name) / COLLECTIONS
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    def write_collections(self, name: str, collections: list[dict[str, Any]]) -> None:
        """Keep what the texts of a recipe's tables come from. The file is as new as the recipe's latest run."""
        path = self.recipe_folder(name) / COLLECTIONS
        if collections != self.collections(name):
            self.write_json(path, collections)
        else:
            path.touch()

    def write_json(self, path: Path, data: object) -> None:
        """Write JSON by one atomic rename."""
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def manifest(artifact: Path) -> dict[str, Any] | None:
    """The manifest of an artifact, or None when it was never published. Raises :class:`WorkspaceError` for what is no JSON."""
    path = artifact / MANIFEST
    try:
        told: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        raise WorkspaceError(
            "a manifest is not the JSON that was published",
            where=path,
            seen=error,
            next_step=f"remove the folder {artifact}: the same command makes it anew",
        ) from error
    return told


def stands(artifact: Path) -> bool:
    """Whether the artifact is published and every output has its size. Contents are checked by :func:`damage`."""
    told = manifest(artifact)
    return told is not None and not any(_wrong_size(artifact, name, of) for name, of in told["outputs"].items())


def damage(artifact: Path) -> list[str]:
    """What is wrong with a published artifact, by hashing every file again; empty when nothing is."""
    try:
        told = manifest(artifact)
    except WorkspaceError:
        return [f"{artifact.name}/{MANIFEST}: not the JSON that was published"]
    if told is None:
        return [f"{artifact.name}: no manifest, so nothing here is trusted"]
    found = []
    for name, of in told["outputs"].items():
        if _wrong_size(artifact, name, of):
            found.append(f"{artifact.name}/{name}: missing or not {of['bytes']:,} bytes")
        elif digest_file(artifact / name) != of["sha256"]:
            found.append(f"{artifact.name}/{name}: content is not what the manifest says")
    return found


def _wrong_size(artifact: Path, name: str, of: dict[str, Any]) -> bool:
    path = artifact / name
    return not path.is_file() or path.stat().st_size != of["bytes"]


def publish(artifact: Path, told: dict[str, Any], volatile: tuple[str, ...] = ()) -> dict[str, Any]:
    """Hash every output, write the manifest last, drop the scratch. Returns the whole manifest.

    Files that match a ``volatile`` pattern hold clock measurements: they are listed and hashed but do not enter the
    artifact's digest, so two runs of the same stage have the same digest.
    """
    for leftover in artifact.rglob(".*.tmp-*"):
        leftover.unlink()
    outputs: dict[str, dict[str, Any]] = {}
    for path in sorted(p for p in artifact.rglob("*") if p.is_file()):
        name = path.relative_to(artifact).as_posix()
        if name == MANIFEST or name.split("/")[0] == WORK:
            continue
        outputs[name] = {"sha256": digest_file(path), "bytes": path.stat().st_size}
        if any(fnmatch(name, pattern) for pattern in volatile):
            outputs[name]["volatile"] = True
    steady = {name: of["sha256"] for name, of in outputs.items() if "volatile" not in of}
    whole = {**told, "digest": digest_of(steady), "outputs": outputs}
    with atomic(artifact / MANIFEST) as temporary:
        temporary.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(artifact / WORK, ignore_errors=True)
    return whole


def discard(artifact: Path) -> None:
    """Remove a published artifact, its manifest first: what is damaged is never taken for finished shards."""
    (artifact / MANIFEST).unlink()
    shutil.rmtree(artifact)


def unfinished(artifact: Path) -> str | None:
    """Why an artifact is not published yet: a process works on it, or one was stopped; None when it is published."""
    if busy(artifact):
        return "in progress: another process is at work here"
    if not (artifact / MANIFEST).exists():
        return "left over from a run that was stopped: the same command goes on from it, or delete the folder"
    return None


def busy(artifact: Path) -> bool:
    """Whether a process holds the artifact."""
    try:
        with locked(artifact):
            return False
    except WorkspaceError:
        return True


@contextmanager
def locked(artifact: Path) -> Iterator[None]:
    """Hold an artifact against other processes. The lock goes with the process, however it ends."""
    artifact.parent.mkdir(parents=True, exist_ok=True)
    with (artifact.parent / f".{artifact.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkspaceError(
                "another process is working on this artifact",
                where=artifact,
                next_step="wait for it, or give this run its own --workspace",
            ) from error
        yield
