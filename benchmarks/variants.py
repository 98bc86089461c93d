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
}

STUDIES: dict[str, dict[str, list[str]]] = {"objectives": OBJECTIVES}
