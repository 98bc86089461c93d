"""The API client against a real server: faults that pass are tried again, others are told; every answer is kept."""

import math
import multiprocessing
import os
import re
import signal
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from retkd.answers import Answers
from retkd.errors import ModelError, RetkdError
from retkd.llms.openai import OpenAI
from retkd.prompt import Prompt
from retkd.stage import Api, Inputs
from tests.conftest import MakeInputs
from tests.llms import server as faults
from tests.llms.server import Server, log_probabilities, serving, told

KEY = "sk-very-secret-1234567890"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def asked(
    server: Server, inputs: Inputs, prompts: list[str], max_tokens: int = 5, **changed: Any
) -> tuple[list[str], int, int]:
    """(answers, how many are new, tokens that they cost)."""
    with OpenAI(base_url=server.url, model="m", **changed).opened(inputs) as session:
        answers = session.complete([Prompt(prompt) for prompt in prompts], max_tokens, "ask")
        return answers, session.num_new, session.tokens


def ready(inputs: MakeInputs, **api: Any) -> Inputs:
    return inputs(api=Api(**{"backoff_s": 0.01, "timeout_s": 2.0, **api}))


def error_of(server: Server, inputs: Inputs, prompts: list[str] = ["abc"], **changed: Any) -> RetkdError:  # noqa: B006
    with pytest.raises(RetkdError) as error:
        asked(server, inputs, prompts, **changed)
    assert KEY not in str(error.value)
    return error.value


def test_the_request_is_that_of_the_protocol(inputs: MakeInputs) -> None:
    with serving() as server:
        assert asked(server, ready(inputs), ["abc"], seed=3) == (["cba"], 1, 10)
        (body,) = server.bodies
        assert body == {
            "path": "/v1/chat/completions",
            "model": "m",
            "messages": [{"role": "user", "content": "abc"}],
            "temperature": 0,
            "seed": 3,
            "max_tokens": 5,
        }
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_extra_keys_replace_and_remove(inputs: MakeInputs) -> None:
    extra = {"max_completion_tokens": 9, "max_tokens": None, "temperature": None}
    with serving() as server:
        asked(server, ready(inputs), ["abc"], extra=extra, api_key_env=None)
        assert server.bodies[0].keys() == {"path", "model", "messages", "seed", "max_completion_tokens"}
        assert "Authorization" not in server.headers[0]


def test_equal_prompts_are_asked_once_and_known_ones_never(inputs: MakeInputs) -> None:
    with serving() as server:
        assert asked(server, ready(inputs), ["abc", "abd", "abc"]) == (["cba", "dba", "cba"], 2, 20)
        assert asked(server, ready(inputs), ["abd", "abe"]) == (["dba", "eba"], 1, 10)
        assert sorted(server.prompts) == ["abc", "abd", "abe"]
        assert asked(server, ready(inputs), ["abc"], max_tokens=6)[1] == 1, "another setting is another question"
        assert asked(server, ready(inputs), ["abc"], seed=4)[1] == 1
        assert asked(server, ready(inputs), ["abc"], api_key_env=None)[1] == 0, "the key's name is not"


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.status(503, "overloaded"),
        faults.status(429, "slow down"),
        faults.body(b"<html>bad gateway</html>"),
        faults.body(b'["no object"]'),
        faults.cut_body,
        faults.no_reply,
    ],
)
def test_what_may_pass_is_tried_again(inputs: MakeInputs, fault: faults.Fault) -> None:
    with serving(faults=[fault, fault]) as server:
        assert asked(server, ready(inputs), ["abc"])[0] == ["cba"]
        assert len(server.bodies) == 3


def test_a_request_that_takes_too_long_is_tried_again(inputs: MakeInputs) -> None:
    with serving(faults=[faults.silence(1.0)]) as server:
        assert asked(server, ready(inputs, timeout_s=0.2), ["abc"])[0] == ["cba"]
        assert server.times[1] - server.times[0] < 0.9


def test_pauses_double_and_depend_on_the_prompt_alone(inputs: MakeInputs) -> None:
    with serving(faults=[faults.status(500)] * 4) as server:
        asked(server, ready(inputs, backoff_s=0.1), ["abc"])
        pauses = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
        for number, pause in enumerate(pauses):
            assert 0.05 * 2**number <= pause <= 0.1 * 2**number + 0.15


@pytest.mark.parametrize("value", ["1", "date"])
def test_retry_after_is_honoured(inputs: MakeInputs, value: str) -> None:
    value = formatdate(time.time() + 2, usegmt=True) if value == "date" else value
    with serving(faults=[faults.status(429, Retry_After=value)]) as server:
        asked(server, ready(inputs), ["abc"])
        assert server.times[1] - server.times[0] > 0.9


def test_a_server_that_wants_to_be_left_alone_for_an_hour_is_told(inputs: MakeInputs) -> None:
    with serving(faults=[faults.status(429, "quota of the hour", Retry_After="3600")]) as server:
        told_ = error_of(server, ready(inputs))
        assert str(told_) == (
            "the API asks to wait 3,600 s\n"
            f"  where: {server.url}/chat/completions\n"
            "  seen: HTTP 429: quota of the hour\n"
            "  next step: run the same command later: it goes on from here"
        )


def test_the_last_try_is_told(inputs: MakeInputs) -> None:
    with serving(faults=[faults.status(500, "broken")] * 3) as server:
        told_ = error_of(server, ready(inputs, retries=2))
        assert str(told_) == (
            "the API failed 3 times\n"
            f"  where: {server.url}/chat/completions\n"
            "  seen: HTTP 500: broken\n"
            "  next step: look at the server; the same command goes on where this one ended"
        )


@pytest.mark.parametrize("code", [400, 401, 404, 422])
def test_a_refusal_is_told_at_once_with_the_servers_words(inputs: MakeInputs, code: int) -> None:
    with serving(faults=[faults.status(code, f"no such thing: {KEY}")]) as server:
        told_ = error_of(server, ready(inputs))
        assert told_.what == "the API refused the request"
        assert told_.seen == f"HTTP {code}: no such thing: ***"
        assert len(server.bodies) == 1


def test_a_used_up_quota_is_not_tried_again(inputs: MakeInputs) -> None:
    with serving(faults=[faults.status(429, "pay", {"code": "insufficient_quota"})]) as server:
        assert error_of(server, ready(inputs)).seen == "HTTP 429: pay"
        assert len(server.bodies) == 1


def test_a_redirect_does_not_carry_the_key_away(inputs: MakeInputs) -> None:
    with serving() as elsewhere, serving() as server:
        server.faults = [faults.status(307, Location=elsewhere.url + "/chat/completions")]
        assert f"a redirect to {elsewhere.url}" in str(error_of(server, ready(inputs)))
        assert elsewhere.bodies == []


def test_nobody_listens(inputs: MakeInputs) -> None:
    with serving() as server:
        pass
    told_ = error_of(server, ready(inputs, retries=1))
    assert told_.what == "the API failed 2 times"
    assert "Connection refused" in str(told_.seen)


def test_a_missing_key_names_the_variable(inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving() as server:
        assert str(error_of(server, ready(inputs))) == (
            "the API key is missing: the environment variable OPENAI_API_KEY is not set\n"
            f"  where: llm m at {server.url}\n"
            "  next step: export OPENAI_API_KEY=..., or set `api_key_env: null` for a server that needs no key"
        )
        assert server.bodies == []


@pytest.mark.parametrize(("end", "place"), [("\n", 26), (" x", 26), ("\u2014", 26)])
def test_a_key_that_no_header_can_carry_is_told_and_not_shown(
    inputs: MakeInputs, monkeypatch: pytest.MonkeyPatch, end: str, place: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + end)
    with serving() as server:
        told_ = error_of(server, ready(inputs))
        assert told_.what == (
            "the API key in the environment variable OPENAI_API_KEY cannot stand in the header of a request"
        )
        assert str(told_.seen).endswith(f"at place {place} of {len(KEY + end)}")
        assert server.bodies == []


@pytest.mark.parametrize("choices", [[], [1, 2], None])
def test_another_number_of_choices(inputs: MakeInputs, choices: Any) -> None:
    with serving(faults=[faults.body({"choices": choices, "usage": {"total_tokens": 4}})]) as server:
        told_ = error_of(server, ready(inputs))
        assert told_.what == "the API did not answer with one choice"
        assert told_.allowed == "one choice"
        assert asked(server, ready(inputs), ["abc"])[0] == ["cba"]
    (store,) = ready(inputs).store.glob("answers/*.jsonl")
    assert Answers(store).tokens_spent == 14, "what an unusable reply cost counts"


@pytest.mark.parametrize("message", [{"message": {"content": None}}, {"message": None}, {}])
def test_an_answer_without_text_is_empty(inputs: MakeInputs, message: dict[str, Any]) -> None:
    with serving(reply=lambda body: {"choices": [message], "usage": {"total_tokens": 1}}) as server:
        assert asked(server, ready(inputs), ["abc"])[0] == [""]


def test_half_an_emoji_is_stored_and_asked_for_once(inputs: MakeInputs) -> None:
    """What json.loads makes of the escape alone is no UTF-8; the answer was paid for all the same."""
    with serving(reply=lambda body: told("[2] > [1] \ud83d and \ud83d\ude00")) as server:
        for num_new in (1, 0):
            assert asked(server, ready(inputs), ["abc"])[:2] == (["[2] > [1] \ufffd and \U0001f600"], num_new)


def test_never_more_requests_at_once_than_allowed(inputs: MakeInputs) -> None:
    prompts = [f"p{i}" for i in range(30)]
    with serving(seconds=0.02) as server:
        answers, _, _ = asked(server, ready(inputs, requests=4), prompts)
        assert answers == [prompt[::-1] for prompt in prompts]
        assert server.most_at_once == 4


def test_the_budget_stops_before_it_is_exceeded_and_counts_earlier_runs(inputs: MakeInputs) -> None:
    """Each request is estimated at 6 tokens and costs 10: after 9 of them 10 more would exceed 95."""
    prompts = [f"p{i:02}" for i in range(20)]
    with serving() as server:
        told_ = error_of(server, ready(inputs, max_total_tokens=95, requests=3), prompts)
        assert str(told_) == (
            "the token budget of the API is used up\n"
            "  where: runtime.api.max_total_tokens\n"
            "  seen: 90 tokens spent on this model in this workspace, about 10 for the next request\n"
            "  allowed: 95\n"
            "  next step: raise runtime.api.max_total_tokens; what was answered is stored, "
            "the same command goes on from there"
        )
        assert len(server.bodies) == 9
        error_of(server, ready(inputs, max_total_tokens=95), prompts)
        assert len(server.bodies) == 9, "a rerun has the same budget"
        answers, num_new, tokens = asked(server, ready(inputs, max_total_tokens=1000), prompts)
        assert (num_new, tokens, len(server.bodies)) == (11, 110, 20)
        assert answers == [prompt[::-1] for prompt in prompts]


@pytest.mark.parametrize("usage", [None, {"total_tokens": -5}])
def test_a_budget_needs_to_know_what_a_request_costs(inputs: MakeInputs, usage: Any) -> None:
    with serving(reply=lambda body: {"choices": [{"message": {"content": "x"}}], "usage": usage}) as server:
        told_ = error_of(server, ready(inputs, max_total_tokens=95))
        assert (told_.what, told_.seen) == ("the API does not tell what a request cost", f"usage: {usage}")
        assert asked(server, ready(inputs), ["abc"]) == (["x"], 1, 0)


def test_log_probabilities_of_the_answers(inputs: MakeInputs) -> None:
    reply = log_probabilities(**{"yes": math.log(0.5), " yes": math.log(0.25), "Yes": -3.0, "maybe": -4.0})
    with serving(reply=lambda body: reply) as server:
        with OpenAI(base_url=server.url, model="m").opened(ready(inputs)) as session:
            found = session.next_token([Prompt("a"), Prompt("b")], ["yes", "no"])
        assert found.values[:, 0] == pytest.approx([math.log(0.75)] * 2)
        assert all(math.isnan(value) for value in found.values[:, 1])
        assert found.floors.tolist() == [-4.0, -4.0]
        assert (server.bodies[0]["logprobs"], server.bodies[0]["top_logprobs"]) == (True, 20)
        with OpenAI(base_url=server.url, model="m").opened(ready(inputs)) as session:
            assert session.next_token([Prompt("a")], ["maybe"]).values.tolist() == [[-4.0]]
            assert session.num_new == 0, "other words, the same answer"


@pytest.mark.parametrize("value", [-math.inf, -9999.0])
def test_a_token_of_probability_0_is_below_all_others_and_half_an_emoji_is_no_error(
    inputs: MakeInputs, value: float
) -> None:
    reply = log_probabilities(**{"yes": -1.0, "\ud83d": -2.0, "no": value})
    with (
        serving(reply=lambda body: reply) as server,
        OpenAI(base_url=server.url, model="m").opened(ready(inputs)) as session,
    ):
        found = session.next_token([Prompt("a")], ["yes", "no"])
    assert found.values.tolist() == [[-1.0, -100.0]]
    assert found.floors.tolist() == [-100.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "abc"])
def test_log_probabilities_that_are_no_numbers(inputs: MakeInputs, value: Any) -> None:
    with (
        serving(reply=lambda body: log_probabilities(yes=value, no=-1.0)) as server,
        OpenAI(base_url=server.url, model="m").opened(ready(inputs)) as session,
        pytest.raises(ModelError, match="the API gives no log-probabilities"),
    ):
        session.next_token([Prompt("a")], ["yes"])


def test_a_server_without_log_probabilities(inputs: MakeInputs) -> None:
    with (
        serving(reply=lambda body: told("yes", logprobs=None)) as server,
        OpenAI(base_url=server.url, model="m").opened(ready(inputs)) as session,
        pytest.raises(ModelError) as error,
    ):
        session.next_token([Prompt("a")], ["yes"])
    assert str(error.value) == (
        "the API gives no log-probabilities\n"
        f"  where: llm m at {server.url}\n"
        "  seen: logprobs: None\n"
        "  allowed: choices[0].logprobs.content[0].top_logprobs\n"
        "  next step: use a model that tells them, or a teacher that reads answers, such as llm_listwise"
    )


def test_an_error_in_the_middle_keeps_what_was_answered(inputs: MakeInputs) -> None:
    prompts = [f"p{i}" for i in range(12)]
    with serving() as server:
        server.faults = [faults.body(faults.echo({"messages": [{"content": "zz"}]}))] * 5 + [faults.status(400)]
        error_of(server, ready(inputs, requests=1), prompts)
        assert len(server.bodies) == 6
        _, num_new, _ = asked(server, ready(inputs), prompts)
        assert num_new == 7


def _ask_all(server: Server, inputs: Inputs, prompts: list[str]) -> None:
    asked(server, inputs, prompts)
    os._exit(0)


def test_killed_after_some_answers_the_rest_is_asked(inputs: MakeInputs) -> None:
    """SIGKILL in the middle: each answer that was sent is asked for once, but for the few that were in flight."""
    prompts = [f"p{i:02}" for i in range(30)]
    settings = ready(inputs, requests=2)
    with serving(seconds=0.05) as server:
        process = multiprocessing.get_context("fork").Process(target=_ask_all, args=(server, settings, prompts))
        process.start()
        while len(server.bodies) < 10:
            time.sleep(0.005)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        (store,) = settings.store.glob("answers/*.jsonl")
        num_stored = len(Answers(store).known)
        assert 6 <= num_stored <= 10
        before = len(server.bodies)
        answers, num_new, _ = asked(server, settings, prompts)
        assert answers == [prompt[::-1] for prompt in prompts]
        assert num_new == len(server.bodies) - before == 30 - num_stored


def test_the_key_is_in_no_file_and_no_line(inputs: MakeInputs, capfd: pytest.CaptureFixture[str]) -> None:
    settings = ready(inputs)
    with serving(faults=[faults.status(500)]) as server:
        asked(server, settings, ["abc"])
    files = [path for path in settings.store.rglob("*") if path.is_file()]
    assert files
    assert all(KEY not in path.read_text() for path in files)
    assert KEY not in "".join(capfd.readouterr())
    assert KEY not in repr(settings.runtime)


def test_a_base_url_is_one() -> None:
    with pytest.raises(ValueError, match="base_url"):
        OpenAI(base_url="api.example.org/v1", model="m")
    assert re.match(r"^https?://", OpenAI(base_url="http://localhost/v1", model="m").base_url)


def test_a_slow_body_has_a_limit_too(inputs: MakeInputs, tmp_path: Path) -> None:
    def dripping(handler: faults.Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" " * 1000)
            handler.wfile.flush()
            time.sleep(0.05)

    with serving(faults=[dripping]) as server:
        began = time.monotonic()
        assert asked(server, ready(inputs, timeout_s=0.3), ["abc"])[0] == ["cba"]
        assert time.monotonic() - began < 1.5
