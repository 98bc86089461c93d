"""What benchmarks/students.py varies: study -> variant -> settings on benchmarks/students.yaml. The first is the yardstick."""

KL = "{kind: kl, teacher: encoder, teacher_temperature: 0.05}"


def objective(*terms: str) -> list[str]:
    """The setting that makes these terms the whole objective."""
    return [f"stages.train.objective=[{', '.join(terms)}]"]


OBJECTIVES = {
    "kl": objective(KL),
    "in_batch_kl": objective("{kind: in_batch_kl, model: encoder}"),
    "kl+infonce": objective(KL, "{kind: infonce, weight: 0.5}"),
    "margin_mse": objective("{kind: margin_mse, teacher: encoder, student_scale: 20, teacher_scale: 20}"),
    "pld": objective("{kind: pld, teacher: encoder, teacher_temperature: 0.05}"),
    "m3_kd": objective("{kind: m3_kd, teacher: encoder, teacher_temperature: 0.05}"),
    "list_mle": objective("{kind: list_mle, teacher: encoder}"),
    "ranknet": objective("{kind: ranknet, teacher: encoder}"),
    "adr_mse": objective("{kind: adr_mse, teacher: encoder}"),
    "lambda_mrr": objective("{kind: lambda_loss, teacher: encoder}"),
    "approx_ndcg": objective("{kind: approx_ndcg, teacher: encoder}"),
    "kl_learned": objective(KL.replace("}", ", student_temperature: {learned_from: 0.05}}")),
    "taid": objective("{kind: taid, teacher: encoder, teacher_temperature: 0.05}"),
    "ofa": objective("{kind: ofa, teacher: encoder, teacher_temperature: 0.05}"),
    "kl+sinkd": objective(KL, "{kind: sinkd, teacher: encoder, weight: 0.1, teacher_temperature: 0.1}"),
    "affinity": objective("{kind: affinity, model: encoder}"),
    "agreement_kl": objective("{kind: agreement_kl, teacher: encoder, teacher_temperature: 0.05}"),
    "quality_mix": objective("{kind: quality_mix, teacher: encoder, teacher_temperature: 0.05}"),
    "bce": objective("{kind: bce, teacher: encoder, mapping: clip, student_scale: 5}"),
    "score_mse": objective("{kind: score_mse, teacher: encoder, mapping: clip}"),
}

STUDIES: dict[str, dict[str, list[str]]] = {"objectives": OBJECTIVES}
