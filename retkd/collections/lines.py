"""Files of lines, plain or gzip, whose errors name the file and the line."""

import gzip
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from retkd.collections.cache_folder import renamed_into_place
from retkd.errors import DataError

T = TypeVar("T")
FLOAT32_MOST = 3.4028234663852886e38
"""The greatest score that a candidates table holds."""
BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


class LineError(ValueError):
    """What is wrong with one line. Whoever reads the file adds where."""

    def __init__(self, what: str, *, seen: object, allowed: str, next_step: str = "mend or remove this line") -> None:
        super().__init__(what)
        self.what, self.seen, self.allowed, self.next_step = what, seen, allowed, next_step

    def at(self, path: Path, number: int) -> DataError:
        """The error as the user sees it. ``number`` counts from 1."""
        where = f"{path}, line {number}"
        return DataError(self.what, where=where, seen=self.seen, allowed=self.allowed, next_step=self.next_step)


def opened(path: Path) -> BinaryIO:
    """The file's bytes, decompressed when its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def parsed_lines(path: Path, parse: Callable[[bytes], T]) -> Iterator[tuple[int, T]]:
    """(line number from 1, parsed line) for each line that is not blank.

    Raises :class:`DataError` with file and line where ``parse`` raises :class:`LineError` or the gzip stream is broken.
    """
    number = 0
    try:
        with opened(path) as content:
            for number, line in enumerate(content, 1):
                if not line.isspace():
                    yield number, parse(line)
    except LineError as error:
        raise error.at(path, number) from None
    except BROKEN_GZIP as error:
        raise broken_gzip(path, error) from error


def broken_gzip(path: Path, error: Exception) -> DataError:
    """The error for a .gz file that cannot be read to its end."""
    return DataError(
        "the gzip file is cut short or damaged",
        where=path,
        seen=error,
        next_step="fetch the file again; `gzip -t FILE` tells whether it is whole",
    )


def decoded(line: bytes) -> str:
    """The line as text, without its end and a byte order mark. Raises :class:`LineError` when it is not UTF-8."""
    try:
        return line.decode("utf-8").rstrip("\r\n").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        bad = line[max(0, error.start - 10) : error.end + 10]
        raise LineError("the line is not UTF-8", seen=repr(bad), allowed="UTF-8 text") from None


def shown(value: object, width: int = 80) -> str:
    """``repr`` of a value, cut to ``width`` characters: what an error quotes."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def found(folder: Path, name: str, expected: str) -> Path:
    """``folder/name`` or ``folder/name.gz``. Raises :class:`DataError` that lists the expected files."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"the collection has no file {name}",
        where=folder,
        seen=_listing(folder),
        allowed=expected,
        next_step="check collection.path, or put the file there (each file may also be .gz)",
    )


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "an empty folder"


def plain(path: Path, digest: str, cache: Path) -> Path:
    """``path`` itself, or for a .gz file its decompressed copy in the cache, made once; by-id reading seeks in it."""
    if path.suffix != ".gz":
        return path
    target = cache / "plain" / digest
    if not target.exists():
        with renamed_into_place(target) as beside, opened(path) as source, beside.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    return target
