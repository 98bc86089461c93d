"""Teachers that rank with a language model, against a real server: ranks, nulls, repairs that are told, resuming."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates
from retkd.collections.base import Collection
from retkd.errors import ModelError, RecipeError
from retkd.stage import Api
from retkd.stages import score
from retkd.teachers.base import Rows
from retkd.teachers.llm_listwise import LLMListwise
from retkd.teachers.llm_setwise import LLMPairwise, LLMSetwise
from tests.conftest import MakeInputs, files
from tests.llms import server as faults
from tests.llms.server import Server, serving, told
from tests.teachers.rows import everything, lists
from tests.tiny_llm import tiny_llm

DOCUMENT = re.compile(r"^(?:\[(\d+)\]|Passage ([A-Z]):) (.*)$", re.MULTILINE)


def by_length(body: dict[str, Any]) -> dict[str, Any]:
    """A model that prefers long passages: a permutation, or one letter."""
    shown = DOCUMENT.findall(body["messages"][-1]["content"])
    order = sorted(range(len(shown)), key=lambda i: (-len(shown[i][2]), shown[i][2]))
    if shown[0][0]:
        return told(" > ".join(f"[{i + 1}]" for i in order))
    return told(f"Passage {shown[order[0]][1]}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(reply=by_length) as running:
        yield running


def llm(server: Server) -> dict[str, Any]:
    return {"kind": "openai", "base_url": server.url, "model": "m", "api_key_env": None}


def expected(collection: Collection, rows: Rows, depth: int) -> np.ndarray:
    """depth - rank + 1 by descending length; 0 for rows that are not ranked."""
    column = np.zeros(rows.table.num_rows)
    for _, start, stop in candidates.groups(rows.table):
        doc_ids = rows.table["doc_id"].to_pylist()[start:stop]
        texts = [document.full_text for document in collection.documents_by_id(doc_ids)]
        order = sorted(range(min(depth, len(texts))), key=lambda i: (-len(texts[i]), texts[i]))
        for rank, place in enumerate(order, 1):
            column[start + place] = depth - rank + 1
    return column


def test_ranks_are_higher_for_better_and_null_below_depth(
    server: Server, inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    splits = [everything("train", lists("train", 0)), everything("dev", lists("dev", 18, num_queries=2))]
    teacher = LLMListwise(llm=llm(server), depth=6, window=3, stride=1, passes=5)
    judged = teacher.judge("lw", splits, inputs(), tmp_path / "work")
    assert judged.scale == "rank"
    for rows in splits:
        wanted = expected(collection, rows, 6)
        assert (judged.unscored[rows.split] == (wanted == 0)).all()
        assert np.where(judged.unscored[rows.split], 0, judged.scores[rows.split]).tolist() == wanted.tolist()
    assert judged.told == {"answers": 5 * 4 * 5}
    assert judged.log == []
    assert server.bodies[0]["messages"][0] == {
        "role": "system",
        "content": "You rank passages by how well they answer a query.",
    }


@pytest.mark.parametrize("kind", [LLMSetwise, LLMPairwise])
@pytest.mark.parametrize("sort", ["heap", "bubble"])
def test_only_the_best_are_ranked(
    server: Server, inputs: MakeInputs, collection: Collection, tmp_path: Path, kind: Any, sort: str
) -> None:
    rows = everything("train", lists("train", 0))
    teacher = kind(llm=llm(server), depth=8, top=3, sort=sort)
    judged = teacher.judge("sw", [rows], inputs(), tmp_path / "work")
    wanted = expected(collection, rows, 8)
    found = np.where(judged.unscored["train"], 0, judged.scores["train"])
    assert found.tolist() == np.where(wanted > 5, wanted, 0).tolist()


def test_judged_positives_below_depth_take_the_last_places_when_asked(
    server: Server, inputs: MakeInputs, tmp_path: Path
) -> None:
    table = lists("train", 0, num_queries=1)
    table = table.set_column(5, "relevance", [[1, None, None, None, None, None, None, 1]])
    rows = everything("train", table.cast(lists("train", 0).schema))
    for keep, unscored in ((False, [4, 5, 6, 7]), (True, [3, 4, 5, 6])):
        teacher = LLMListwise(llm=llm(server), depth=4, keep_positives=keep)
        judged = teacher.judge("lw", [rows], inputs(), tmp_path / "work")
        assert np.flatnonzero(judged.unscored["train"]).tolist() == unscored


def scored(server: Server, inputs: MakeInputs, mined: Path, out: Path, **changed: Any) -> Any:
    settings = {"llm": llm(server), "depth": 5, "window": 3, "stride": 2, **changed}
    config = score.Config(candidates="mine", teachers={"lw": LLMListwise(**settings)})
    return score.run(config, inputs({"mine": mined}, api=Api(backoff_s=0.01, requests=4)), out)


def test_the_stage_publishes_nulls_counts_and_the_log_of_repairs(
    server: Server, inputs: MakeInputs, mined: Path, tmp_path: Path
) -> None:
    """Every fifth answer repeats a number and forgets another, by the prompt's length: the same ones each time."""

    def sloppy(body: dict[str, Any]) -> dict[str, Any]:
        reply = by_length(body)
        if len(body["messages"][-1]["content"]) % 5 == 0:
            reply["choices"][0]["message"]["content"] = "[2] > [2] > [9]"
        return reply

    server.reply = sloppy
    metrics = scored(server, inputs, mined, tmp_path / "out")
    rows = candidates.read(tmp_path / "out" / "train")
    assert candidates.scale_of(rows, "lw") == "rank"
    num_ranked = sum(min(5, stop - start) for _, start, stop in candidates.groups(rows))
    assert rows.num_rows - rows["teacher.lw"].null_count == num_ranked
    log = [json.loads(line) for line in (tmp_path / "out" / "lw.log.jsonl").read_text().splitlines()]
    counts = metrics.values["lw"]
    assert len(log) == counts["repeated"] == counts["foreign"] > 3
    assert counts["missing"] == sum(record["missing"] for record in log)
    assert log[0].keys() == {"split", "query_id", "documents", "repeated", "foreign", "missing", "answer"}
    assert log[0]["answer"] == "[2] > [2] > [9]"
    asked = len(server.bodies)
    again = scored(server, inputs, mined, tmp_path / "again")
    assert len(server.bodies) == asked, "a second run asks nothing"
    assert files(tmp_path / "again") == files(tmp_path / "out")
    assert again.values == metrics.values
    assert again.timings["lw_new_answers"] == 0
    assert metrics.timings["lw_tokens"] == 10 * asked


def test_cut_short_it_goes_on_to_the_same_bytes(
    server: Server, inputs: MakeInputs, mined: Path, tmp_path: Path
) -> None:
    num_answered = 0

    def failing(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal num_answered
        num_answered += 1
        if num_answered == 20:
            server.faults = [faults.status(400)] * 4
        return by_length(body)

    server.reply = failing
    with pytest.raises(ModelError, match="the API refused the request"):
        scored(server, inputs, mined, tmp_path / "out")
    server.faults, stopped_at = [], len(server.bodies)
    scored(server, inputs, mined, tmp_path / "out")
    num_asked = len(server.bodies) - stopped_at
    other = inputs({"mine": mined}, store=tmp_path / "other", api=Api(requests=1))
    config = score.Config(candidates="mine", teachers={"lw": LLMListwise(llm=llm(server), depth=5, window=3, stride=2)})
    score.run(config, other, tmp_path / "undisturbed")
    assert files(tmp_path / "undisturbed") == files(tmp_path / "out")
    num_in_all = len(server.bodies) - stopped_at - num_asked
    assert num_asked < num_in_all
    assert 20 <= num_in_all - num_asked <= 24, "each answer of the first run was kept"


def test_too_many_answers_in_prose_are_an_error(
    server: Server, inputs: MakeInputs, mined: Path, tmp_path: Path
) -> None:
    server.reply = lambda body: told("All of them are good.")
    with pytest.raises(ModelError) as error:
        scored(server, inputs, mined, tmp_path / "out")
    assert re.fullmatch(
        "the language model does not answer as the teacher lw asks it to\n"
        r"  where: (\d+) of \1 answers name no candidate" + "\n"
        "  seen: 'All of them are good.'\n"
        r"  allowed: a share of 0.1 \(max_unusable\)" + "\n"
        "  next step: change the prompt, take another model, or raise max_tokens if answers are cut short",
        str(error.value),
    )
    scored(server, inputs, mined, tmp_path / "out", max_unusable=1.0)
    rows = candidates.read(tmp_path / "out" / "train")
    first = rows.slice(0, 5)["teacher.lw"].to_pylist()
    assert first == [5.0, 4.0, 3.0, 2.0, 1.0], "the miner's order stays"


def test_a_prompt_of_ones_own(server: Server, inputs: MakeInputs, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("{documents}\nBest of {num} for {query}?")
    rows = everything("train", lists("train", 0, num_queries=1))
    LLMListwise(llm=llm(server), prompt=str(path)).judge("lw", [rows], inputs(), tmp_path / "work")
    assert server.prompts[0].startswith("[1] ")
    assert len(server.bodies[0]["messages"]) == 1
    path.write_text("Best for {query}? {passages}")
    with pytest.raises(RecipeError) as error:
        LLMListwise(llm=llm(server), prompt=str(path)).judge("lw", [rows], inputs(), tmp_path / "work")
    assert f"where: {path}\n  seen: {{query}}, {{passages}}\n  allowed: {{query}}, {{documents}}, {{num}}" in str(
        error.value
    )


def test_a_model_of_ones_own_ranks_and_its_answers_are_kept(inputs: MakeInputs, tmp_path: Path) -> None:
    """A random model says nothing that can be used: every order stays, each answer is stored, none is made twice."""
    folder = tiny_llm(tmp_path / "llm")
    ready = inputs(models={"llm": folder})
    teacher = LLMListwise(
        llm={"kind": "transformers", "model": "llm"}, depth=4, window=3, stride=2, max_tokens=4, max_unusable=1.0
    )
    rows = everything("train", lists("train", 0))
    first = teacher.judge("lw", [rows], ready, tmp_path / "work")
    second = teacher.judge("lw", [rows], ready, tmp_path / "work")
    assert first.num_new == first.told["answers"] == 6
    assert second.num_new == 0
    assert (first.scores["train"] == second.scores["train"]).all()
