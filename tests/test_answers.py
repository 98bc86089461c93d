"""The answer store: whole lines count, a torn one is cut off and said, a kill loses what was in flight and nothing else."""

import json
import multiprocessing
import os
import re
import signal
import threading
from pathlib import Path

import pytest

from retkd.answers import Answers, answer_key, opened
from retkd.errors import DataError, WorkspaceError


def test_the_key_is_the_digest_of_model_settings_and_prompt() -> None:
    keys = [answer_key("m", {"max_tokens": 3}, "p"), answer_key("m", {"max_tokens": 4}, "p")]
    keys += [answer_key("n", {"max_tokens": 3}, "p"), answer_key("m", {"max_tokens": 3}, "q")]
    assert len(set(keys)) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in keys)
    assert answer_key({"a": 1, "b": 2}, {}, "p") == answer_key({"b": 2, "a": 1}, {}, "p")


def test_what_was_added_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "store" / "m.jsonl"
    with opened(path) as answers:
        answers.add({"a": {"text": "é\n"}, "b": {"text": ""}}, 7)
        answers.add({}, 5)
    with opened(path) as again:
        assert again.known == {"a": {"text": "é\n"}, "b": {"text": ""}}
        assert again.tokens_spent == 12
    assert path.read_text().count("\n") == 2


@pytest.mark.parametrize("torn", [b'{"answers": {"b": {"te', b'{"answers": {}, "tokens": 3}', b"\0\0\0\n"])
def test_a_torn_last_line_is_said_and_cut_off(tmp_path: Path, torn: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.jsonl"
    Answers(path).add({"a": {"text": "1"}}, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    answers = Answers(path)
    assert (answers.known, answers.tokens_spent) == ({"a": {"text": "1"}}, 2)
    assert capsys.readouterr().err == (
        f"{path}: the last line was cut short; its {len(torn)} bytes are removed, what it held is asked for again\n"
    )
    assert path.read_bytes() == whole
    answers.add({"b": {"text": "2"}})
    assert list(Answers(path).known) == ["a", "b"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"answers": {}, "tokens": 1}\n{"answers": 3}\n{"answers": {}, "tokens": 1}\n')
    with pytest.raises(DataError) as error:
        Answers(path)
    assert f"where: {path}, line 2\n  seen: b'{{\"answers\": 3}}\\n'" in str(error.value)


def test_two_processes_do_not_write_to_one_store(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "m.jsonl"),
        pytest.raises(WorkspaceError, match="another process"),
        opened(tmp_path / "m.jsonl"),
    ):
        pass


def test_threads_add_whole_lines(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "m.jsonl")

    def work(number: int) -> None:
        for i in range(20):
            answers.add({f"{number}-{i}": {"text": "x" * 500}}, 1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Answers(tmp_path / "m.jsonl")
    assert (len(again.known), again.tokens_spent) == (80, 80)


def _add_until_killed(path: Path, told: Path) -> None:
    answers = Answers(path)
    for number in range(10_000):
        answers.add({str(number): {"text": "x" * 2000}}, 1)
        with told.open("a") as file:
            file.write(f"{number}\n")


def test_killed_at_any_moment_what_was_added_stays(tmp_path: Path) -> None:
    """Every answer whose ``add`` returned is there after SIGKILL, and the next process goes on."""
    path, told = tmp_path / "m.jsonl", tmp_path / "told"
    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(target=_add_until_killed, args=(path, told))
        process.start()
        process.join(0.2)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        added = [line for line in told.read_text().splitlines(keepends=True) if line.endswith("\n")]
        assert len(added) > 3
        assert {line.strip() for line in added} <= Answers(path).known.keys()
    lines = path.read_text().splitlines()
    assert all(json.loads(line)["tokens"] == 1 for line in lines)
