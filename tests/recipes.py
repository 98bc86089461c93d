"""A recipe of every stage, written to a file; nothing of it needs to exist."""

from pathlib import Path

TEXT = """\
name: tiny
collection: {kind: beir, path: /data/own}
stages:
  mine:
    kind: mine
    miner: {kind: bm25, depth: 50}
  score:
    kind: score
    candidates: mine
    teachers:
      ce: {kind: cross_encoder, model: /models/teacher}
  select:
    kind: select
    candidates: score
    filters: [{kind: margin, teacher: ce, margin: 1.0}]
    sampler: {kind: random, num_negatives: 7}
  train:
    kind: train
    candidates: select
    student: {kind: dense, base: /models/base, layers: [0, 2]}
    objective:
      - {kind: kl, teacher: ce}
      - {kind: infonce, weight: 0.1, temperature: 0.02}
    steps: 30
  index:
    kind: index
    model: train
    recipe: flat
  evaluate:
    kind: evaluate
    splits: [dev, test]
    depth: 100
    systems: {student: {kind: dense, model: train, index: index}}
    teacher_scores: {candidates: score, teacher: ce}
    controls: [bm25, zero_shot, contrastive, teacher]
"""


def written(folder: Path, text: str = TEXT, **replaced: str) -> Path:
    """The recipe's path. Each keyword ``old_text=new`` is a replacement of a name that stands in the text once."""
    for old, new in replaced.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def line_of(words: str, text: str = TEXT) -> int:
    """The number of the only line that holds these words."""
    (number,) = (number for number, line in enumerate(text.splitlines(), start=1) if words in line)
    return number
