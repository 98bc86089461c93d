"""How the texts of a training batch go through a model: shared between the processes of a run, and one pass at a time.

**Shared.** Every process holds the whole batch, encodes its own rows of each chunk and gets the vectors of all rows, so that
every process computes the loss of the whole batch. Backwards its own rows get their gradient times the number of processes:
DistributedDataParallel takes the mean over the processes, which so is the sum of their parts for what encodes the texts,
and the gradient itself for what all compute alike, such as the trained parts of terms.

**One pass at a time** (GradCache; Gao et al. 2021, arXiv 2101.06983, sec. 3): vectors of all passes without what a gradient
needs; the loss and its gradient by the vectors; then pass after pass again, under its own draws of dropout, this time with
gradient. So the memory is that of one pass, for any number of texts and any loss of vectors, and the gradient is that of
the whole batch, not an approximation. Here autograd does the second and third step: each pass is a checkpoint
(``torch.utils.checkpoint``) that is made again when the gradient of its vectors has come. So whatever the loss
reads beside vectors gets its gradient as ever, and accumulation, half precision and DistributedDataParallel, which sees
each parameter finished once per backward pass, need nothing of their own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retkd import processes
from retkd.batch import Features
from retkd.batching import TOKENS_ON_AN_ACCELERATOR
from retkd.stage import Runtime
from retkd.whole_passes import misfit

Encode = Callable[[list[Features]], list[Tensor]]
"""Chunks to the vectors of each, ``[text, dim]``, with gradient."""


@dataclass(frozen=True)
class Passes:
    """``grad_cache``: one pass at a time, of at most ``most_tokens`` padded tokens."""

    grad_cache: bool = False
    most_tokens: int = TOKENS_ON_AN_ACCELERATOR

    def through(self, encode: Encode, chunks: Sequence[Features]) -> list[Tensor]:
        """The vectors of every text of each chunk. Of several processes each encodes a part; float32 then."""
        if processes.count() == 1:
            return self._encoded(encode, list(chunks))
        sizes = [_rows(chunk) for chunk in chunks]
        with drawing_apart():
            own = self._encoded(encode, _own(chunks, sizes))
        places = [rows_of(sizes, number, processes.count()) for number in range(processes.count())]
        own_rows = torch.cat(own)[: len(places[processes.number()])]
        order = torch.tensor([row for each in places for row in each], device=own_rows.device)
        vectors = gathered(own_rows.float(), [len(each) for each in places])[order.argsort()]
        return list(torch.split(vectors, sizes))

    def _encoded(self, encode: Encode, chunks: list[Features]) -> list[Tensor]:
        if not self.grad_cache:
            return encode(chunks)
        return [torch.cat([_again(encode, part) for part in self._parts(chunk)]) for chunk in chunks]

    def _parts(self, chunk: Features) -> list[Features]:
        size = max(self.most_tokens // chunk["input_ids"].shape[1], 1)
        return [_sliced(chunk, slice(start, start + size)) for start in range(0, _rows(chunk), size)]


def passes(runtime: Runtime, readers: Iterable[str] = ()) -> Passes:
    """As the runtime asks for. Raises :class:`RecipeError` where one of ``readers`` (retkd/whole_passes.py) needs more of a
    pass than its vectors."""
    for what in readers:
        if error := misfit(what, runtime):
            raise error
    return Passes(runtime.grad_cache, runtime.tokens_per_batch or TOKENS_ON_AN_ACCELERATOR)


def _again(encode: Encode, part: Features) -> Tensor:
    """The vectors of one pass, which is made a second time when their gradient is there, under the same draws."""
    from torch.utils.checkpoint import checkpoint

    vectors: Tensor = checkpoint(lambda chunk: encode([chunk])[0], part, use_reentrant=False)
    return vectors


def _own(chunks: Sequence[Features], sizes: Sequence[int]) -> list[Features]:
    """This process' rows of each chunk. With fewer texts than processes one text, so that no process is without."""
    number, step = processes.number(), processes.count()
    own = [
        _sliced(chunk, slice(number, None, step)) for chunk, rows in zip(chunks, sizes, strict=True) if number < rows
    ]
    return own or [_sliced(chunks[0], slice(0, 1))]


def rows_of(sizes: Sequence[int], number: int, num_processes: int) -> list[int]:
    """Where the texts of one process stand in the chunks laid end to end: every so many of each chunk.

    >>> rows_of([3, 2], 0, 2), rows_of([3, 2], 1, 2)
    ([0, 2, 3], [1, 4])
    """
    starts = [sum(sizes[:chunk]) for chunk in range(len(sizes))]
    return [s + row for s, size in zip(starts, sizes, strict=True) for row in range(number, size, num_processes)]


def _rows(chunk: Features) -> int:
    return len(chunk["input_ids"])


def _sliced(chunk: Features, rows: slice) -> Features:
    return {name: value[rows] if isinstance(value, Tensor) else value for name, value in chunk.items()}


@contextmanager
def drawing_apart() -> Iterator[None]:
    """Random numbers of this process alone inside; outside, the same ones in every process, which a loss may draw.

    So dropout differs between the processes, and with their number.
    """
    seed = int(torch.randint(2**62, ()))
    here = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(here):
        torch.manual_seed(seed + processes.number())
        yield


def gathered(own: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows of all processes, one process after the other; ``counts`` are their numbers of rows."""
    processes.join()
    rows: Tensor = _Gathered.apply(own, tuple(counts))  # type: ignore[no-untyped-call]
    return rows


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: tuple[int, ...]) -> Tensor:
        import torch.distributed as dist

        padded = own.new_zeros((max(counts), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.own = slice(start := sum(counts[: processes.number()]), start + len(own))
        return torch.cat([part[:rows] for part, rows in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Its own rows', times the number of processes: see the head of this file."""
        return gradients[0][ctx.own] * processes.count(), None
