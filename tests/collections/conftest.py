"""Small folders in the layouts that collections read, and where the real data is."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retkd.collections.pycode import PyCode

CORPUS = """\
{"_id": "d1", "title": "Cats", "text": "Cats sleep all day."}
{"_id": "d2", "title": "", "text": "Dogs bark at night: Zürich."}
{"_id": 3, "text": ""}
{"_id": "d4", "text": "A line\\u2028separator and a tab\\tinside."}
"""
QUERIES = """\
{"_id": "q2", "text": "who barks"}
{"_id": "q1", "text": "who sleeps"}
{"_id": "q3", "text": "nobody judged this", "split": "train"}
{"_id": "q4", "text": "a dev query", "split": "dev"}
"""
TRAIN = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\t3\t0\n"
DEV = "q1\td4\t1\n"
FILES = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": TRAIN, "qrels/dev.tsv": DEV}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def beir_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write the small BEIR folder; a keyword such as ``corpus="..."`` replaces that file (``None``: leaves it out)."""

    def write(name: str = "beir", **changed: str | None) -> Path:
        short = {
            "corpus": "corpus.jsonl",
            "queries": "queries.jsonl",
            "train": "qrels/train.tsv",
            "dev": "qrels/dev.tsv",
        }
        files = FILES | {short[key]: text for key, text in changed.items()}
        return written(tmp_path / name, files)

    return write


def written(folder: Path, files: dict[str, str | None]) -> Path:
    for name, text in files.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())
    return folder


def zipped(folder: Path, into: Path) -> Path:
    """The same folder with each file as .gz."""
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        target = into / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(f"{target}.gz", "wb") as copy, file.open("rb") as source:
            shutil.copyfileobj(source, copy)
    return into


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real collections; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("RETKD_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RETKD_DATA")
    return folder


@pytest.fixture(scope="session")
def pycode_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the standard library has been read once."""
    cache = tmp_path_factory.mktemp("pycode")
    assert PyCode().open(cache).num_documents > 0
    return cache
