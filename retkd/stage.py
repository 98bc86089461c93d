"""What a stage is given and what it gives back.

A stage module declares ``NAME``, ``VERSION``, ``Config``, ``OUTPUTS`` and ``run(config, inputs, out) -> Metrics``.
``Config`` says by marked fields (:mod:`retkd.parts`) which stages, models and files it reads: these are its inputs. Where
the configuration decides which of ``OUTPUTS`` it makes, ``Config.gives`` names them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from retkd.parts import Part

if TYPE_CHECKING:
    import numpy as np

    from retkd.collections.base import Collection


class StageConfig(Part):
    """Fields that every stage has."""

    seed: int | None = Field(default=None, ge=0, lt=2**32, description="overrides the recipe's seed for this stage")
    collection: str | None = Field(
        default=None, description="one under `transfer` or `views`; default: the recipe's own"
    )


class Api(Part):
    """How an HTTP API is asked, and what may be spent there: nothing of it changes an answer."""

    requests: int = Field(default=8, ge=1, le=1024, description="at most so many at once")
    timeout_s: float = Field(default=60.0, gt=0.0, description="of one request, in seconds")
    retries: int = Field(
        default=6, ge=0, description="further tries after a time-out, a lost connection, HTTP 429 or 5xx"
    )
    backoff_s: float = Field(default=1.0, gt=0.0, description="the first pause between tries; each next one doubles")
    max_total_tokens: int | None = Field(
        default=None, ge=1, description="budget per model and workspace, earlier runs included; default: none"
    )


class Runtime(Part):
    """What may change how fast a stage runs, never what it makes: it stays outside every key."""

    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of torch and FAISS; default: all cores")
    executor: Literal["inline", "processes", "ray"] = "inline"
    workers: int = Field(default=1, ge=1, description="processes or Ray tasks at once")
    memory_mib: int = Field(default=512, ge=64, description="working memory for blocks of vectors and scores")
    tokens_per_batch: int | None = Field(
        default=None, ge=64, description="padded tokens in one forward pass without gradient; default: by the device"
    )
    api: Api = Api()
    grad_cache: bool = Field(
        default=False,
        description="train students one pass at a time: the same gradient in the memory of one pass, of "
        "tokens_per_batch or 16,384 padded tokens, for a third more time",
    )
    compile: bool = Field(
        default=False, description="torch.compile the cross-encoder teachers; like the device, it moves the last bits"
    )


@dataclass(frozen=True)
class Model:
    """A model that was found: a local folder and the SHA-256 of its weights, configuration and tokeniser."""

    ref: str
    path: Path
    digest: str


class Searcher(Protocol):
    """A published index, opened. ``told`` is what its index.json says; ``doc_ids`` are in the order of its rows."""

    @property
    def told(self) -> Mapping[str, Any]: ...

    @property
    def doc_ids(self) -> Sequence[str]: ...

    def search(self, queries: Any, k: int) -> "tuple[np.ndarray, list[list[str]]]":
        """Scores ``[query, k]``, descending, and the ids of what was found, which may be fewer than ``k``.

        ``queries``: what the encoder of this kind of index makes of them, its ``represented``.
        """
        ...


@dataclass(frozen=True)
class Inputs:
    """What a stage may read. ``artifacts`` maps a stage's name to its published folder.

    ``open_index`` opens such a folder; a stage whose parts search an index fills it in.
    """

    collection: "Collection"
    artifacts: Mapping[str, Path]
    models: Mapping[str, Model]
    manifests: Mapping[str, Mapping[str, Any]]
    seed: int
    runtime: Runtime
    store: Path
    key: str
    recipe_name: str = "recipe"
    open_index: "Callable[[Path], Searcher] | None" = None


@dataclass
class Metrics:
    """What a stage reports in its manifest. ``rows_dropped`` maps a reason to a count.

    ``values`` must be the same on each run; anything measured with a clock belongs in ``timings``.
    """

    rows_in: int = 0
    rows_out: int = 0
    rows_dropped: dict[str, int] = field(default_factory=dict)
    truncation_rate: dict[str, float] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
