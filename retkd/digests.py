"""Content digests: of JSON data, of files (remembered by size and time), of model folders."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retkd.shards import atomic

MODEL_SUFFIXES = {".safetensors", ".bin", ".json", ".txt", ".model", ".gguf", ".py"}


def canonical_json(data: object) -> str:
    """JSON with sorted keys and no spaces: equal data give equal text.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(data: object) -> str:
    """SHA-256 of the canonical JSON of ``data``."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileDigests:
    """File digests remembered in a JSON file by (path, size, modification time in ns)."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
        self.changed = False

    def file(self, path: Path) -> str:
        """SHA-256 of the file, hashed again only when its size or time changed."""
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self.known:
            self.known[key] = digest_file(path)
            self.changed = True
        return self.known[key]

    def files(self, root: Path, paths: Iterable[Path]) -> str:
        """One digest of several files and their names below ``root``."""
        return digest_of({path.relative_to(root).as_posix(): self.file(path) for path in sorted(paths)})

    def model(self, folder: Path) -> str:
        """Digest of a model folder: weights, configuration, tokeniser; not its README, not other formats' exports."""
        skipped = {"onnx", "openvino", ".cache", ".git"}
        files = [p for p in folder.rglob("*") if p.suffix in MODEL_SUFFIXES and p.is_file()]
        return self.files(folder, [p for p in files if not skipped & set(p.relative_to(folder).parts[:-1])])

    def save(self) -> None:
        """Write what was learned."""
        if self.changed:
            with atomic(self.memory) as temporary:
                temporary.write_text(json.dumps(self.known))
            self.changed = False


def flattened(data: object, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> leaf, for comparing two key inputs field by field.

    >>> flattened({"a": {"b": [1, 2]}})
    {'a.b[0]': 1, 'a.b[1]': 2}
    """
    if isinstance(data, Mapping) and data:
        pairs = [(f"{prefix}.{key}" if prefix else str(key), value) for key, value in data.items()]
    elif isinstance(data, (list, tuple)) and data:
        pairs = [(f"{prefix}[{position}]", value) for position, value in enumerate(data)]
    else:
        return {prefix: data}
    return {path: leaf for key, value in pairs for path, leaf in flattened(value, key).items()}


def differences(old: object, new: object) -> list[str]:
    """What changed, field by field.

    >>> differences({"temperature": 1.0}, {"temperature": 2.0})
    ['temperature 1.0 -> 2.0']
    """
    before, after = flattened(old), flattened(new)
    paths = [*before, *(path for path in after if path not in before)]
    changed = [path for path in paths if before.get(path, "absent") != after.get(path, "absent")]
    return [f"{path} {_short(before.get(path, 'absent'))} -> {_short(after.get(path, 'absent'))}" for path in changed]


def _short(value: object) -> str:
    text = str(value)
    head, colon, rest = text.partition(":")
    return f"{head}{colon}{rest[:12]}" if len(rest) == 64 else text[:12] if len(text) == 64 else text
