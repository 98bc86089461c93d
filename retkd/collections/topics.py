"""Turns out of topic files: TREC CAsT 2019 to 2022 (linear, flattened or as a tree), iKAT, and JSON lines of our own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retkd.collections.lines import BROKEN_GZIP, LineError, broken_gzip, decoded, opened, parsed_lines, shown
from retkd.collections.records import encodable, json_record, read_id, read_text
from retkd.collections.turns import Turn
from retkd.errors import DataError

NUMBERS = ("turn_id", "number")
UTTERANCES = ("raw_utterance", "utterance")
ANSWERS = ("response", "passage")
REWRITES = {
    "manual_rewritten_utterance": "manual",
    "automatic_rewritten_utterance": "automatic",
    "resolved_utterance": "resolved",
}
LINE = '{"_id": ..., "turns": [{"text": ..., "response": ..., "rewrite": ...}]} or {"_id": ..., "text": ..., "history": [...]}'


def read_turns(path: Path) -> dict[str, Turn]:
    """query_id -> turn, in the order of the file: JSON lines where the name ends in .jsonl (or .jsonl.gz), else a topic file.

    Raises :class:`DataError` with file and place for what is malformed, and for two turns of one id that differ.
    """
    found: Iterator[tuple[str, Turn]]
    if ".jsonl" in path.suffixes:
        found = ((f"line {number}", turn) for number, turns in parsed_lines(path, line_turns) for turn in turns)
    else:
        found = _topic_turns(path)
    turns: dict[str, Turn] = {}
    for place, turn in found:
        if turns.setdefault(turn.query_id, turn) != turn:
            raise DataError(
                "two turns have the same id, and differ",
                where=f"{path}, {place}",
                seen=repr(turn.query_id),
                allowed="one conversation per id (a path through a tree of turns may repeat its beginning)",
                next_step="give one of them another id",
            )
    return turns


def with_rewrites(turns: Mapping[str, Turn], rewrites: Mapping[str, str], name: str) -> dict[str, Turn]:
    """The turns with one more rewrite each, where ``rewrites`` (query_id -> text) has one."""
    return {
        key: replace(turn, rewrites={**turn.rewrites, name: rewrites[key]}) if key in rewrites else turn
        for key, turn in turns.items()
    }


def line_turns(line: bytes) -> list[Turn]:
    """The turns of one JSON line: a conversation with ``turns``, or one turn with its own ``history``.

    A history alternates utterance and answer, and ends with an answer; ``rewrite`` is a text, or name -> text.
    """
    record = json_record(line)
    split = read_text(record, "split", LINE) if record.get("split") is not None else None
    if "turns" not in record:
        return [replace(_own_turn(record), split=split)]
    key, turns = read_id(record, LINE), []
    earlier: list[tuple[str, str | None]] = []
    for number, each in enumerate(_list(record, "turns"), 1):
        if not isinstance(each, dict):
            raise LineError("a turn is not a JSON object", seen=shown(each), allowed=LINE)
        own = read_id(each, LINE) if each.get("_id") is not None else f"{key}_{number}"
        turns.append(Turn(own, _said(each, "text"), tuple(earlier), _rewrites(each), split))
        earlier.append((turns[-1].text, read_text(each, "response", LINE) if each.get("response") else None))
    return turns


def _own_turn(record: dict[str, Any]) -> Turn:
    history = _list(record, "history") if record.get("history") is not None else []
    if any(not isinstance(text, str) for text in history) or len(history) % 2:
        raise LineError(
            "the history does not alternate utterance and answer",
            seen=shown(history),
            allowed="an even number of texts",
        )
    told = [encodable(text, "history") for text in history]
    earlier = tuple((query, answer or None) for query, answer in zip(told[::2], told[1::2], strict=True))
    return Turn(read_id(record, LINE), _said(record, "text"), earlier, _rewrites(record))


def _topic_turns(path: Path) -> Iterator[tuple[str, Turn]]:
    try:
        with opened(path) as content:
            topics = json.loads(decoded(content.read()))
    except BROKEN_GZIP as error:
        raise broken_gzip(path, error) from error
    except LineError as error:
        raise error.at(path, 1) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"the topic file is not JSON: {error.msg}",
            where=f"{path}, line {error.lineno}",
            allowed="a list of topics as TREC CAsT and iKAT give them, or JSON lines in a file named .jsonl",
            next_step="check that the file was downloaded whole",
        ) from None
    for place, topic in enumerate(topics if isinstance(topics, list) else [None]):
        where = f"topic {place + 1}"
        try:
            yield from ((where, turn) for turn in topic_turns(topic))
        except LineError as error:
            raise DataError(
                error.what, where=f"{path}, {where}", seen=error.seen, allowed=error.allowed, next_step=error.next_step
            ) from None


def topic_turns(topic: Any) -> list[Turn]:
    """The user's turns of one topic; the id of a query is NUMBER_TURN. Where turns name a ``parent``, they are a tree."""
    if not isinstance(topic, dict) or "number" not in topic or not ("turn" in topic or "turns" in topic):
        raise LineError("this is no topic", seen=shown(topic), allowed='a list of {"number": ..., "turn": [...]}')
    said = _list(topic, "turn" if "turn" in topic else "turns")
    if any(isinstance(each, dict) and "participant" in each for each in said):
        return _tree_turns(str(topic["number"]), said)
    earlier: list[tuple[str, str | None]] = []
    turns = []
    for each in said:
        turn = _turn(str(topic["number"]), each, tuple(earlier))
        turns.append(turn)
        earlier.append((turn.text, _first(each, ANSWERS)))
    return turns


def _tree_turns(topic: str, said: Sequence[Any]) -> list[Turn]:
    by_number = {str(each["number"]): each for each in said if isinstance(each, dict) and "number" in each}
    return [
        _turn(topic, each, tuple(_pairs(_path_to(each, by_number, topic))))
        for each in by_number.values()
        if each.get("participant") == "User"
    ]


def _path_to(turn: dict[str, Any], by_number: Mapping[str, dict[str, Any]], topic: str) -> list[dict[str, Any]]:
    """What was said before a turn of a tree, oldest first."""
    path: list[dict[str, Any]] = []
    parent = turn.get("parent")
    while parent is not None:
        if str(parent) not in by_number or len(path) > len(by_number):
            raise LineError(
                "a turn names a parent that is not there",
                seen=f"{topic}_{turn['number']}: {parent}",
                allowed="its topic's turns",
            )
        path.append(by_number[str(parent)])
        parent = path[-1].get("parent")
    return path[::-1]


def _pairs(said: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """(utterance, answer) for each utterance on a path; several answers in a row are one."""
    for place, each in enumerate(said):
        if each.get("participant") == "User":
            after = said[place + 1 :]
            end = next((i for i, other in enumerate(after) if other.get("participant") == "User"), len(after))
            answers = [answer for other in after[:end] if (answer := _first(other, (*ANSWERS, *UTTERANCES)))]
            yield str(_first(each, UTTERANCES)), " ".join(answers) or None


def _turn(topic: str, each: Any, earlier: tuple[tuple[str, str | None], ...]) -> Turn:
    if not isinstance(each, dict) or _first(each, UTTERANCES) is None or _first(each, NUMBERS) is None:
        raise LineError(
            "a turn has no number or no utterance",
            seen=shown(each),
            allowed=f"a number ({' or '.join(NUMBERS)}) and an utterance ({' or '.join(UTTERANCES)})",
        )
    rewrites = {name: encodable(str(each[key]), key) for key, name in REWRITES.items() if each.get(key)}
    return Turn(f"{topic}_{_first(each, NUMBERS)}", str(_first(each, UTTERANCES)), earlier, rewrites)


def _first(each: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((encodable(str(each[key]), key) for key in keys if each.get(key) not in (None, "")), None)


def _said(record: dict[str, Any], key: str) -> str:
    text = read_text(record, key, LINE)
    if not text.strip():
        raise LineError("a turn has no text", seen=shown(record.get("_id")), allowed="text that is not empty")
    return text


def _list(record: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(record[key], list):
        raise LineError(f'"{key}" is not a list', seen=shown(record[key]), allowed=LINE)
    return list(record[key])


def _rewrites(record: dict[str, Any]) -> dict[str, str]:
    told = record.get("rewrite")
    if told is None:
        return {}
    rewrites = {"rewrite": told} if isinstance(told, str) else told
    if not isinstance(rewrites, dict) or not all(isinstance(text, str) for text in rewrites.values()):
        raise LineError('"rewrite" is neither a text nor texts by name', seen=shown(told), allowed=LINE)
    return {name: encodable(text, "rewrite") for name, text in rewrites.items() if text}
