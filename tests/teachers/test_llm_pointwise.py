"""The pointwise teacher: log-odds and expected grades of the right prompts, each pair once, from a model here or an API."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates
from retkd.collections.base import Collection
from retkd.errors import ModelError
from retkd.matchers.causal_model import CausalModel
from retkd.prompt import shipped_prompt
from retkd.stages import score
from retkd.teachers.base import Rows
from retkd.teachers.llm_pointwise import Graded, LLMPointwise, YesNo
from tests.conftest import MakeInputs
from tests.llms.server import Server, log_probabilities, serving
from tests.tables import pairs
from tests.teachers.rows import everything, lists, two_splits
from tests.tiny_llm import tiny_llm

LLM = {"kind": "transformers", "model": "llm"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llm(tmp_path_factory.mktemp("llm") / "tiny")


def distribution(folder: Path, collection: Collection, rows: Rows, name: str) -> tuple[Any, np.ndarray]:
    """(tokeniser, log-probabilities of the whole vocabulary after each row's prompt), one model call per row."""
    import torch

    causal = CausalModel.load(folder, "cpu")
    text = Path(shipped_prompt(name)).read_text().strip()
    queries = {q.query_id: q.text for q in collection.queries(rows.split)}
    found = []
    for query_id, doc_id in pairs(rows.table):
        (document,) = collection.documents_by_id([doc_id])
        prompt = text.replace("{query}", queries[query_id]).replace("{document}", document.full_text)
        ids = causal.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        with torch.no_grad():
            found.append(torch.log_softmax(causal.model(torch.tensor([ids])).logits[0, -1].double(), -1).numpy())
    return causal.tokenizer, np.array(found)


def test_log_odds_equal_the_model_called_directly(
    inputs: MakeInputs, collection: Collection, folder: Path, tmp_path: Path
) -> None:
    splits = two_splits()
    judged = LLMPointwise(llm=LLM, pairs_per_shard=7).judge("pw", splits, inputs(models={"llm": folder}), tmp_path)
    assert judged.scale == "logit"
    for rows in splits:
        tokenizer, log_probabilities = distribution(folder, collection, rows, "pointwise")
        yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
        assert judged.scores[rows.split] == pytest.approx(
            log_probabilities[:, yes] - log_probabilities[:, no], abs=2e-4
        )
        assert not judged.unscored[rows.split].any()
    assert judged.num_new == sum(rows.table.num_rows for rows in splits)


def test_expected_grades_equal_the_model_called_directly(
    inputs: MakeInputs, collection: Collection, folder: Path, tmp_path: Path
) -> None:
    rows = everything("train", lists("train", 0))
    judged = LLMPointwise(llm=LLM, answer=Graded()).judge("pw", [rows], inputs(models={"llm": folder}), tmp_path)
    assert judged.scale == "unbounded"
    tokenizer, log_probabilities = distribution(folder, collection, rows, "graded")
    chosen = np.exp(log_probabilities[:, tokenizer.convert_tokens_to_ids(["0", "1", "2", "3"])])
    assert judged.scores["train"] == pytest.approx(chosen @ [0, 1, 2, 3] / chosen.sum(axis=1), abs=1e-4)


def test_a_second_call_asks_only_what_is_new(inputs: MakeInputs, folder: Path, tmp_path: Path) -> None:
    ready = inputs(models={"llm": folder})
    few, more = (everything("train", lists("train", 0, depth=depth)) for depth in (3, 5))
    teacher = LLMPointwise(llm=LLM)
    first = teacher.judge("pw", [few], ready, tmp_path / "first")
    second = teacher.judge("pw", [more], ready, tmp_path / "second")
    assert (first.num_new, second.num_new) == (9, 6)
    old = [i for i in range(15) if i % 5 < 3]
    assert np.array_equal(second.scores["train"][old], first.scores["train"])


def test_another_prompt_is_another_teacher_and_the_same_prompt_elsewhere_is_not(
    inputs: MakeInputs, folder: Path, tmp_path: Path
) -> None:
    ready, rows = inputs(models={"llm": folder}), [everything("train", lists("train", 0))]
    LLMPointwise(llm=LLM).judge("pw", rows, ready, tmp_path / "first")
    copy, other = tmp_path / "copy.txt", tmp_path / "other.txt"
    copy.write_text(Path(shipped_prompt("pointwise")).read_text())
    other.write_text("{query} {document} yes or no")
    for path, num_new in ((copy, 0), (other, 24)):
        teacher = LLMPointwise(llm=LLM, answer=YesNo(prompt=str(path)))
        assert teacher.judge("pw", rows, ready, tmp_path / path.stem).num_new == num_new


def test_the_truncation_rate_is_the_share_of_pairs_that_were_cut(
    inputs: MakeInputs, collection: Collection, folder: Path, tmp_path: Path
) -> None:
    rows = everything("train", lists("train", 0))
    lengths = [len(d.full_text) for d in collection.documents_by_id([doc_id for _, doc_id in pairs(rows.table)])]
    limit = sorted(lengths)[11]
    teacher = LLMPointwise(llm=LLM, document_max_characters=limit)
    judged = teacher.judge("pw", [rows], inputs(models={"llm": folder}), tmp_path)
    assert judged.truncation_rate == pytest.approx(np.mean([length > limit for length in lengths]))
    assert 0 < judged.truncation_rate < 1


def api(server: Server) -> dict[str, Any]:
    return {"kind": "openai", "base_url": server.url, "model": "m", "api_key_env": None}


def some_tell_nothing(body: dict[str, Any]) -> dict[str, Any]:
    """By the prompt's length: both answers, only yes, or neither."""
    which = len(body["messages"][-1]["content"]) % 10
    if which == 0:
        return log_probabilities(perhaps=-0.1, well=-5.0)
    return log_probabilities(yes=-1.0, well=-5.0) if which < 4 else log_probabilities(yes=-1.0, no=-1.5, well=-5.0)


def test_what_an_api_does_not_tell_is_bounded_or_null_and_said(
    inputs: MakeInputs, mined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(reply=some_tell_nothing) as server:
        config = score.Config(candidates="mine", teachers={"pw": LLMPointwise(llm=api(server), max_unusable=0.5)})
        metrics = score.run(config, inputs({"mine": mined}), tmp_path / "out")
        asked = len(server.bodies)
        score.run(config, inputs({"mine": mined}), tmp_path / "again")
        assert len(server.bodies) == asked
    columns = [candidates.read(tmp_path / "out" / split)["teacher.pw"] for split in ("train", "dev", "test")]
    values = [value for column in columns for value in column.to_pylist()]
    assert set(values) == {0.5, 4.0, None}
    assert metrics.values["pw"]["unusable"] == values.count(None) > 0
    assert metrics.values["pw"]["rows"] == len(values) - values.count(None)
    assert "pairs have an answer below what the API tells; it gets that bound" in capsys.readouterr().err


def test_too_many_pairs_without_an_answer_are_an_error(
    inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    rows = everything("train", lists("train", 0))
    with (
        serving(reply=lambda body: log_probabilities(perhaps=-0.1)) as server,
        pytest.raises(ModelError) as error,
    ):
        LLMPointwise(llm=api(server)).judge("pw", [rows], inputs(), tmp_path)
    assert str(error.value) == (
        "the language model does not answer as the teacher pw asks it to\n"
        "  seen: for 24 of 24 pairs none of yes, no is among its most likely tokens\n"
        "  allowed: a share of 0.05 (max_unusable)\n"
        "  next step: name the answers in the prompt, or choose answer words that the model uses"
    )


def test_values_by_hand() -> None:
    log_probabilities = np.log(np.array([[0.1, 0.2, 0.3, 0.2], [0.0001, 0.0001, 0.0001, 0.0007]]))
    assert Graded().score(log_probabilities) == pytest.approx([(0.2 + 0.6 + 0.6) / 0.8, (1 + 2 + 21) / 10])
    assert YesNo().score(log_probabilities[:, :2]) == pytest.approx([math.log(0.5), 0.0])


def test_equal_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="the answers must differ from each other"):
        LLMPointwise(llm=LLM, answer=YesNo(yes="x", no="x"))
