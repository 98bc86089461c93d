"""Conversations made of XQuAD's English questions, for the recipes of DiSCo: `python benchmarks/conversations.py FOLDER`.

No test collection of conversational search may be passed on freely. Here the questions about one Wikipedia article, in the
order of its paragraphs, are one conversation: people wrote the questions, the ellipsis is made. A name that an earlier
question has is replaced by `it` or `its`, so that a turn is understood by its history alone. The two rewrites are the
question as it was, and the question behind the article's title. Two articles of three are for training.
"""

import csv
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retkd.shards import atomic

DATA = Path(os.environ.get("RETKD_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
NAMES = re.compile(r"(?<=[\w,] )[A-Z][\w.-]*(?: [A-Z0-9][\w.-]*)*('s|')?")
"""Capitalised words behind the first word of a question."""


def main(arguments: list[str] | None = None) -> int:
    """Write the folder that was asked for."""
    asked = sys.argv[1:] if arguments is None else arguments
    if len(asked) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    print(f"written: {made_conversations(DATA / 'xquad-clir', Path(asked[0]))}")
    return 0


def made_conversations(source: Path, folder: Path) -> Path:
    """A BEIR folder, whose queries are the last utterances, with `train.jsonl` and `test.jsonl` of conversations."""
    documents = [row for row in _lines(source / "corpus.jsonl") if row["_id"].startswith("en-")]
    titles = {row["_id"]: row["title"].replace("_", " ") for row in documents}
    questions = {row["_id"]: row["text"] for row in _lines(source / "queries.jsonl") if row["lang"] == "en"}
    with (source / "qrels" / "en-en.tsv").open(encoding="utf-8", newline="") as lines:
        judged = {row["query-id"]: row["corpus-id"] for row in csv.DictReader(lines, delimiter="\t")}
    articles = list(dict.fromkeys(titles.values()))
    _write(folder / "corpus.jsonl", ({"_id": row["_id"], "title": "", "text": row["text"]} for row in documents))
    said = []
    for split, part in (("train", (0, 1)), ("test", (2,))):
        chosen = {title for place, title in enumerate(articles) if place % 3 in part}
        own = {key: titles[judged[key]] for key in questions if titles[judged[key]] in chosen}
        told = list(conversations(own, questions))
        said += [{"_id": turn["_id"], "text": turn["text"]} for each in told for turn in each["turns"]]
        _write(folder / f"{split}.jsonl", told)
        with atomic(folder / "qrels" / f"{split}.tsv") as temporary:
            rows = "".join(f"{key}\t{judged[key]}\t1\n" for key in own)
            temporary.write_text("query-id\tcorpus-id\tscore\n" + rows, encoding="utf-8")
    _write(folder / "queries.jsonl", said)
    return folder


def conversations(title_of: dict[str, str], questions: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One line per article, its questions in their order."""
    asked: dict[str, list[str]] = {}
    for key, title in title_of.items():
        asked.setdefault(title, []).append(key)
    for title, keys in asked.items():
        turns, known = [], ""
        for key in keys:
            rewrite = {"one": questions[key], "two": f"{title}: {questions[key]}"}
            turns.append({"_id": key, "text": elided(questions[key], known), "rewrite": rewrite})
            known += f"{questions[key]} "
        yield {"_id": title, "turns": turns}


def elided(question: str, known: str) -> str:
    """The question without the names that are known.

    >>> elided("Who led the Panthers in sacks?", "How many points did the Panthers surrender?")
    'Who led it in sacks?'
    >>> elided("What is Warsaw's oldest church?", "When was Warsaw founded?"), elided("Who is Chopin?", "Warsaw")
    ('What is its oldest church?', 'Who is Chopin?')
    """

    def shorter(found: re.Match[str]) -> str:
        name, ending = found.group(), found.group(1)
        if name.removesuffix(ending or "") not in known:
            return name
        return "its" if ending else "it"

    return re.sub(r"\b[Tt]he (its?)\b", r"\1", NAMES.sub(shorter, question))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "qrels").mkdir(exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
