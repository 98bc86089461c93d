"""How many tokens of an API may still be spent: asked before a request is sent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retkd.chat_api import StoppedError
from retkd.errors import ModelError


class TokenBudget:
    """At most ``limit`` tokens together with what ``spent()`` tells, which counts earlier runs; None: no limit.

    Requests in flight count with their estimate, or with the dearest request so far when that is more. One that would go
    beyond waits until they have ended and is refused when it still would.
    """

    def __init__(self, limit: int | None, spent: Callable[[], int]) -> None:
        self.limit = limit
        self.spent = spent
        self._in_flight = 0
        self._dearest = 0
        self._stopped = False
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, estimate: int) -> Iterator[None]:
        """Hold an estimate while a request is in flight. Raises :class:`ModelError` when the budget is used up."""
        with self._changed:
            while self._exceeds(tokens := max(estimate, self._dearest)):
                if self._stopped:
                    raise StoppedError
                if self._in_flight == 0:
                    raise self._used_up(tokens)
                self._changed.wait()
            self._in_flight += tokens
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= tokens
                self._changed.notify_all()

    def cost(self, tokens: int) -> None:
        """Tell what a request cost."""
        with self._changed:
            self._dearest = max(self._dearest, tokens)

    def stop(self) -> None:
        """Let those that wait give up."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _exceeds(self, tokens: int) -> bool:
        return self.limit is not None and self.spent() + self._in_flight + tokens > self.limit

    def _used_up(self, tokens: int) -> ModelError:
        return ModelError(
            "the token budget of the API is used up",
            where="runtime.api.max_total_tokens",
            seen=f"{self.spent():,} tokens spent on this model in this workspace, about {tokens:,} for the next request",
            allowed=f"{self.limit:,}",
            next_step="raise runtime.api.max_total_tokens; what was answered is stored, the same command goes on from there",
        )
