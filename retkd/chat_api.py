"""A POST to an HTTP API that speaks OpenAI's chat protocol: retried where that can help, refused where it cannot."""

import email.utils
import http.client
import json
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retkd.errors import ModelError
from retkd.stage import Api

TRANSIENT = {408, 409, 425, 429, 500, 502, 503, 504, 529}
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 900.0
"""Seconds. A server that wants to be left alone for longer is told to the user."""


class StoppedError(Exception):
    """Another request failed for good, so this one is given up."""


class TransientError(Exception):
    """The request failed in a way that may pass. ``pause`` is what the server asks for, in seconds."""

    def __init__(self, what: str, pause: float | None = None) -> None:
        super().__init__(what)
        self.pause = pause


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host; it becomes an error that names the place."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Never."""
        return


@dataclass(frozen=True)
class ChatApi:
    """One server. The key stands in the header of requests and nowhere else: errors are cleared of it.

    Threads may ask at once; when ``stopped`` is set those that wait for another try give up.
    """

    base_url: str
    key: str | None = field(repr=False)
    settings: Api
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self, body: Mapping[str, Any], seed: str) -> Mapping[str, Any]:
        """The reply to one request as data. ``seed`` decides the jitter of the pauses between tries.

        Raises :class:`ModelError` with the server's words when it refuses, or when the last try fails.
        """
        for attempt in range(self.settings.retries + 1):
            try:
                return self._once(body)
            except TransientError as error:
                if attempt == self.settings.retries:
                    raise self._error(f"the API failed {attempt + 1} times", str(error)) from error
                pause = self._pause(error, attempt, seed)
            if self.stopped.wait(pause):
                raise StoppedError
        raise AssertionError("the last try returns or raises")

    def _pause(self, error: TransientError, attempt: int, seed: str) -> float:
        """Exponential with full jitter above one half; never shorter than what the server asks for."""
        asked = error.pause
        if asked is not None and asked > LONGEST_RETRY_AFTER:
            raise self._error(
                f"the API asks to wait {asked:,.0f} s",
                str(error),
                "run the same command later: it goes on from here",
            )
        longest = min(LONGEST_PAUSE, self.settings.backoff_s * 2.0**attempt)
        jitter = random.Random(f"{seed} {attempt}").uniform(0.5, 1.0)
        return max(asked or 0.0, longest * jitter)

    def _once(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        deadline = time.monotonic() + self.settings.timeout_s
        try:
            with opener.open(request, timeout=self.settings.timeout_s) as reply:
                return _parsed(_read(reply, deadline))
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._error("the API's certificate is not trusted", str(error.reason)) from error
            raise TransientError(f"no connection: {error.reason}") from error
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    @property
    def _url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        told, code = _message(error)
        seen = f"HTTP {error.code}: {told}"
        if error.code in TRANSIENT and code != "insufficient_quota":
            return TransientError(seen, _retry_after(error.headers.get("Retry-After")))
        if 300 <= error.code < 400:
            seen = f"HTTP {error.code}, a redirect to {error.headers.get('Location')}"
        hints = {401: "check the API key", 403: "check the API key", 404: "check base_url and model"}
        return self._error("the API refused the request", seen, hints.get(error.code, "look at what the server says"))

    def _error(self, what: str, seen: str, next_step: str | None = None) -> ModelError:
        seen = seen.replace(self.key, "***") if self.key else seen
        return ModelError(
            what,
            where=self._url,
            seen=seen,
            next_step=next_step or "look at the server; the same command goes on where this one ended",
        )


def _read(reply: Any, deadline: float) -> bytes:
    """The whole body. The socket's time limit is for one read, ``deadline`` for all of them."""
    blocks = []
    while block := reply.read1(1 << 16):
        blocks.append(block)
        if time.monotonic() > deadline:
            raise TimeoutError("the body did not end in time")
    if reply.length:
        raise ConnectionError(f"the body ended {reply.length:,} bytes too early")
    return b"".join(blocks)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError as error:
        raise TransientError(f"the reply is not JSON: {body[:200]!r}") from error
    if not isinstance(told, Mapping):
        raise TransientError(f"the reply is no JSON object: {body[:200]!r}")
    return told


def _message(error: urllib.error.HTTPError) -> tuple[str, str | None]:
    """(what the server says, its error code)."""
    try:
        body = error.read(1 << 16).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return error.reason, None
    try:
        told = json.loads(body)["error"]
        return (str(told.get("message", told)), told.get("code")) if isinstance(told, dict) else (str(told), None)
    except (ValueError, KeyError, TypeError):
        return body.strip()[:500] or str(error.reason), None


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from seconds or a date; None when the server names none or one that cannot be read."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
