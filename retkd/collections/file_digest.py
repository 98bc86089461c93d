"""SHA-256 of files, read again only when a file looks different from last time."""

import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from retkd.collections.cache_folder import read_json, write_json
from retkd.collections.lines import BROKEN_GZIP, broken_gzip, opened

SETTLED_NS = 2_000_000_000
"""A file younger than this when it was read is read again: it may change once more within one tick of its clock."""


def file_digests(paths: Sequence[Path], cache: Path) -> list[str]:
    """SHA-256 (hex) of each file's text; a .gz file is hashed by what it holds, so that it equals the plain file.

    The answers are kept under ``cache`` with size, times and inode; a file whose numbers are unchanged is not read.
    """
    absolute = [str(path.absolute()) for path in paths]
    kept_in = cache / "digests" / f"{sha256(chr(0).join(absolute).encode()).hexdigest()[:32]}.json"
    known = read_json(kept_in) or {}
    found = {name: _entry(Path(name), known.get(name)) for name in absolute}
    settled = {name: entry for name, entry in found.items() if entry["settled"]}
    if settled != known:
        write_json(kept_in, settled)
    return [str(found[name]["sha256"]) for name in absolute]


def _entry(path: Path, known: dict[str, object] | None) -> dict[str, object]:
    looks = _looks(path)
    if known is not None and known["looks"] == looks:
        return known
    digest = _content_digest(path)
    settled = _looks(path) == looks and time.time_ns() - max(looks[1:3]) > SETTLED_NS
    return {"looks": looks, "sha256": digest, "settled": settled}


def _looks(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _content_digest(path: Path) -> str:
    digest = sha256()
    try:
        with opened(path) as content:
            while block := content.read(1 << 20):
                digest.update(block)
    except BROKEN_GZIP as error:
        raise broken_gzip(path, error) from error
    return digest.hexdigest()
