"""What to do about a damaged artifact: which folder to delete, which stage is made anew, and which ones read it."""

import json
from pathlib import Path
from typing import Any

from retkd.errors import WorkspaceError
from retkd.workspace import manifest


def next_step(artifact: Path) -> str:
    """One line. What reads the artifact is made anew where it comes out otherwise than it was: keys name its digest."""
    told = _manifest(artifact)
    if told is None:
        return f"delete {artifact} and run its recipe again: the stage is made anew"
    line = f"delete {artifact} and run {told['recipe']} again: its stage {told['stage']} is made anew"
    readers = _readers(artifact.parent, told["digest"])
    if not readers:
        return line
    return f"{line}, and what reads it ({', '.join(readers)}) where it comes out otherwise; delete what read the damage too"


def _readers(artifacts: Path, digest: str) -> list[str]:
    """The stages that were made from what has this digest, each once."""
    told = [_manifest(folder) for folder in sorted(artifacts.glob("*-*/"))]
    return list(dict.fromkeys(each["stage"] for each in told if each and digest in json.dumps(each["key_inputs"])))


def _manifest(artifact: Path) -> dict[str, Any] | None:
    try:
        return manifest(artifact)
    except WorkspaceError:
        return None
