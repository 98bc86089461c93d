"""Errors a user can act on: what, where, the value seen, what is allowed, the next step."""

import difflib
from collections.abc import Iterable


class RetkdError(Exception):
    """Bad input or a broken promise, told so that the reader knows what to do next.

    ``what`` is one sentence. The other parts are optional and print one per line.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        seen: object = None,
        allowed: object = None,
        consequence: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.seen = seen
        self.allowed = allowed
        self.consequence = consequence
        self.next_step = next_step
        super().__init__(self.render())

    def render(self) -> str:
        """The message as printed: ``what``, then one labelled line for each part that is known."""
        parts = {
            "where": self.where,
            "seen": self.seen,
            "allowed": self.allowed,
            "consequence": self.consequence,
            "next step": self.next_step,
        }
        lines = [self.what]
        lines += [f"  {label}: {value}" for label, value in parts.items() if value is not None]
        return "\n".join(lines)


class RecipeError(RetkdError):
    """A recipe does not say something that can be run. ``problems`` holds all of them."""

    exit_code = 2

    def __init__(self, what: str, *, problems: Iterable["RetkdError"] = (), **parts: object) -> None:
        self.problems = tuple(problems)
        super().__init__(what, **parts)  # type: ignore[arg-type]

    def render(self) -> str:
        """The sentence and every problem under it, indented."""
        lines = [super().render()]
        for problem in self.problems:
            lines += ["  " + line for line in ("- " + problem.render().replace("\n", "\n  ")).splitlines()]
        return "\n".join(lines)


def in_recipe(error: RetkdError, where: str, seen: object = None) -> RecipeError:
    """What a model or a runtime denies, as a problem of the key that asks for it."""
    seen = error.seen if seen is None else seen
    return RecipeError(error.what, where=where, seen=seen, allowed=error.allowed, next_step=error.next_step)


class DataError(RetkdError):
    """A collection, run or candidates table is malformed."""


class ModelError(RetkdError):
    """A model cannot be found, loaded or used as asked."""


class ScaleError(RetkdError):
    """A score column is on a scale that the reader of it cannot use."""


class WorkspaceError(RetkdError):
    """An artifact is missing, changed, or held by another process."""


class ParityError(RetkdError):
    """An export ranks differently from the model that was evaluated."""


class MissingExtraError(RetkdError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            next_step=f"pip install 'retkd[{extra}]'",
        )


CLOSE = 0.7
"""Of all letters of two names the share that they have in common, in order, from which one may be meant for the other: `idx`
for `index` (0.75), not `huber` for `beir` (0.67)."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'depth'?`` when a known name is close, else the known names.

    >>> did_you_mean("dept", ["depth", "kind"])
    "did you mean 'depth'?"
    >>> did_you_mean("x", ["depth", "kind"])
    'known: depth, kind'
    """
    names = sorted(str(k) for k in known)
    return meant(name, names) or "known: " + (", ".join(names) or "none")


def meant(name: str, known: Iterable[str]) -> str | None:
    """``did you mean 'depth'?`` when a known name, or the last part of one, is close.

    >>> meant("tiad", ["methods/taid", "train"]), meant("huber", ["beir"])
    ("did you mean 'methods/taid'?", None)
    """
    names = sorted(map(str, known))
    whole = {each.rpartition("/")[2]: each for each in names} | {each: each for each in names}
    close = difflib.get_close_matches(str(name), sorted(whole), n=1, cutoff=CLOSE)
    return f"did you mean {whole[close[0]]!r}?" if close else None
