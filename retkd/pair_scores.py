"""Each pair is scored once: a store of raw teacher scores, addressed by what decides them.

A teacher's address is the digest of its weights, tokeniser and length settings; a pair's key is the digest of the two
texts. So the store serves every recipe, and a longer list costs only its new pairs. Shards are written and renamed:
a kill loses the shard in flight and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np

from retkd.digests import canonical_json
from retkd.errors import ModelError
from retkd.shards import atomic, ranges, shard_map, shard_name

KEY = np.dtype("S16")
ScoreShard = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Positions of pairs -> (float32 raw scores, whether each pair was cut at the maximum length)."""


def pair_key(query: str, document: str) -> bytes:
    """16 bytes that name a pair of texts. The query's length goes in, so that moving a boundary changes the key."""
    return blake2b(f"{len(query)}|{query}|{document}".encode(), digest_size=16).digest()


def teacher_address(weights_digest: str, settings: dict[str, object]) -> str:
    """Where a teacher's scores lie: its weights and everything about its input that changes a score."""
    return sha256(canonical_json({"weights": weights_digest, **settings}).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Scores:
    """``values`` float32 raw scores, ``truncated`` bool, both in the order of the keys asked for."""

    values: np.ndarray
    truncated: np.ndarray
    num_new: int


class PairScores:
    """The scores of one teacher."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def known(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(keys, scores, truncated) of all shards, sorted by key, each key once."""
        parts = [np.load(path) for path in sorted(self.folder.glob("*.npz"))]
        if not parts:
            return np.empty(0, KEY), np.empty(0, np.float32), np.empty(0, bool)
        keys, first = np.unique(np.concatenate([p["keys"] for p in parts]), return_index=True)
        scores = np.concatenate([p["scores"] for p in parts])[first]
        return keys, scores, np.concatenate([p["truncated"] for p in parts])[first]

    def get(
        self,
        keys: Sequence[bytes],
        lengths: Callable[[np.ndarray], np.ndarray],
        score: ScoreShard,
        *,
        plan_file: Path,
        pairs_per_shard: int,
        label: str,
    ) -> Scores:
        """The scores of all ``keys``; those that are not known are scored, longest first, shard by shard.

        ``lengths(positions)`` gives token counts for the global sort. The plan of what is missing is written to
        ``plan_file`` before the first shard, so that a resumed run cuts the same shards and gets the same bits. A plan
        that no longer completes what is known (someone emptied the store) is made anew. A shard without one score for
        each pair is not stored but a :class:`ModelError`.
        """
        asked = np.array(keys, dtype=KEY)
        if not self._completes(asked, plan_file):
            self._write_plan(asked, lengths, plan_file, pairs_per_shard)
        with np.load(plan_file) as plan:
            positions, name = plan["positions"], str(plan["name"])
        shards = ranges(len(positions), pairs_per_shard) if len(positions) else []
        paths = [self.folder / f"{name}-{shard_name(i, len(shards), 'npz')}" for i in range(len(shards))]
        shard_map(partial(_write_shard, asked, positions, shards, score), paths, label=label)
        known, scores, truncated = self.known()
        at = np.searchsorted(known, asked)
        assert np.array_equal(known[at], asked)
        return Scores(scores[at], truncated[at], len(positions))

    def _completes(self, asked: np.ndarray, plan_file: Path) -> bool:
        if not plan_file.exists():
            return False
        with np.load(plan_file) as plan:
            planned = asked[plan["positions"]]
        return bool(np.isin(asked, np.concatenate([planned, self.known()[0]])).all())

    def _write_plan(
        self, asked: np.ndarray, lengths: Callable[[np.ndarray], np.ndarray], plan_file: Path, pairs_per_shard: int
    ) -> None:
        known, _, _ = self.known()
        _, first = np.unique(asked, return_index=True)
        missing = np.sort(first[~np.isin(asked[first], known)])
        order = np.argsort(-lengths(missing), kind="stable") if len(missing) else missing
        positions = missing[order]
        name = sha256(f"{pairs_per_shard}|".encode() + asked[positions].tobytes()).hexdigest()[:16]
        with atomic(plan_file) as temporary, temporary.open("wb") as out:
            np.savez(out, positions=positions, name=np.array(name))


def _write_shard(
    asked: np.ndarray, positions: np.ndarray, shards: list[tuple[int, int]], score: ScoreShard, index: int, path: Path
) -> None:
    start, stop = shards[index]
    values, truncated = score(positions[start:stop])
    require_count(values, stop - start, "a shard of pairs")
    require_count(truncated, stop - start, "what was cut of a shard of pairs")
    with path.open("wb") as out:
        np.savez(out, keys=asked[positions[start:stop]], scores=values.astype(np.float32), truncated=truncated)


def require_count(values: np.ndarray, count: int, where: str) -> None:
    """Raise :class:`ModelError` unless there is one value for each of ``count`` pairs."""
    if np.shape(values) != (count,):
        raise ModelError(
            "the teacher does not give one score for each pair",
            where=where,
            seen=f"values of shape {np.shape(values)}",
            allowed=f"({count},)",
            consequence="scores would stand beside the texts of other pairs",
            next_step="mend the teacher: one number for each pair, in the order in which they were asked for",
        )
