"""A whole recipe on tiny models and a tiny collection: every stage, a second or two each."""

from pathlib import Path

from tests.tiny import tiny_collection, tiny_encoder

RECIPE = """\
name: tiny
seed: 7
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine:
    kind: mine
    miner: {{kind: fused, depth: 20, miners: [{{kind: bm25, depth: 20}}, {{kind: dense, depth: 20, model: {encoder}}}]}}
  teach:
    kind: teach
    candidates: mine
    base: {encoder}
    sampler: {{kind: random, num_negatives: 3}}
    steps: 12
    save_every: 5
    batch_queries: 4
    learning_rate: 1.0e-3
    max_length: 64
  score:
    kind: score
    candidates: mine
    teachers:
      ce: {{kind: cross_encoder, model: teach, max_length: 64, pairs_per_shard: 150}}
      base: {{kind: bi_encoder, model: {encoder}}}
      both: {{kind: ensemble, members: {{ce: 1.0, base: 1.0}}}}
  select:
    kind: select
    candidates: score
    teacher: both
    sampler: {{kind: mixed, num_negatives: 5, num_top: 3}}
  train:
    kind: train
    candidates: select
    student: {{kind: dense, base: {encoder}, layers: [1]}}
    objective:
      - {{kind: kl, teacher: both}}
      - {{kind: infonce, weight: 0.1}}
    steps: 12
    save_every: 5
    evaluate_every: 5
    keep: best
    batch_queries: 4
    learning_rate: 1.0e-3
  index: {{kind: index, model: train, recipe: flat}}
  evaluate:
    kind: evaluate
    splits: evaluation
    depth: 20
    measures: [nDCG@10, MRR@10, R@20]
    num_resamples: 500
    systems: {{student: {{kind: dense, model: train, index: index}}}}
    teacher_scores: {{candidates: score, teacher: both}}
    controls: [bm25, zero_shot, contrastive, teacher]
  export: {{kind: export, model: train}}
  report: {{kind: report, evaluation: evaluate}}
"""


def tiny_recipe(folder: Path) -> Path:
    """Write the models, the collection and the recipe under ``folder``; the recipe's path."""
    encoder, collection = tiny_encoder(folder / "encoder"), tiny_collection(folder / "collection")
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(encoder=encoder, collection=collection))
    return path
