"""The model card, as the hub's own code reads it."""

from dataclasses import replace

import pytest
import yaml

from retkd.reporting.model_card import _term, model_card


def test_the_hub_reads_its_front_matter(evidence):
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(model_card(evidence, license="apache-2.0", base_model="org/base")).data
    assert (data.library_name, data.license, data.base_model) == ("sentence-transformers", "apache-2.0", "org/base")
    found = {(result.metric_type, round(result.metric_value, 4)) for result in data.eval_results}
    mean = evidence.evaluation.measures["test"]["student"]["nDCG@10"]["mean"]
    assert ("ndcg_at_10", round(mean, 4)) in found
    assert len(found) == 3


def test_it_tells_where_the_student_comes_from(evidence):
    card = model_card(evidence)
    line = evidence.evaluation.measures["test"]["student"]["nDCG@10"]
    assert f"| distilled student | {line['mean']:.3f} [{line['low']:.3f}, {line['high']:.3f}] |" in card
    assert "trained in this run by the stage `teach`" in card
    assert "`kl` (weight 1, teacher ce, student temperature 0.05, teacher temperature 1) + `infonce`" in card
    for stage in ("mine", "teach", "score", "select", "train", "evaluate"):
        assert f"| {stage} | {stage} | `{evidence.manifests[stage]['key'][:12]}` |" in card
    assert "| control |" not in card
    assert "| bm25 |" not in card
    assert "- queries: 3,408" in card


def test_the_dataset_is_the_collection_not_the_recipe(evidence):
    (result,) = yaml.safe_load(model_card(evidence).split("---")[1])["model-index"][0]["results"]
    assert result["dataset"] == {"name": "collection test", "type": "collection", "split": "test"}


def changed(evidence, **params):
    """The evidence with ``dim`` of these stages."""
    told = dict(evidence.manifests)
    for stage, dim in params.items():
        inputs = told[stage]["key_inputs"]
        told[stage] = {**told[stage], "key_inputs": {**inputs, "params": {**inputs["params"], "dim": dim}}}
    return replace(evidence, manifests=told)


def test_it_says_where_the_measured_and_the_exported_width_differ(evidence):
    cut = "vectors cut to their first 96 coordinates and made unit vectors again"
    card = model_card(changed(evidence, index=96))
    assert (
        f"\n\nThese results are of {cut}.\nThe stage `export` exports whole vectors; with `dim: 96` it exports what "
        "was measured.\n\n" in card
    )
    card = model_card(changed(evidence, export=96))
    assert "These results" not in card
    assert f"\n\nThe stage `export` exports {cut}; without `dim` it exports what was measured.\n\n" in card
    card = model_card(changed(evidence, index=96, export=96))
    assert f"These results are of {cut}.\n\n" in card
    assert "The stage `export`" not in card
    assert "vectors cut" not in model_card(evidence)


def test_terms_inside_others_and_several_teachers_are_told_by_name(evidence):
    train = evidence.manifests["train"]
    teacher = f"stage:{evidence.manifests['teach']['digest']}"
    objective = [
        {
            "kind": "matryoshka",
            "weight": 1.0,
            "dims": [384, 96],
            "terms": [{"kind": "kl", "teacher": "ce", "weight": 0.5}],
        },
        {"kind": "unic", "models": [teacher, "org/other"], "drop": 0.5},
    ]
    params = {**train["key_inputs"]["params"], "objective": objective}
    changed = {**train, "key_inputs": {**train["key_inputs"], "params": params}}
    card = model_card(replace(evidence, manifests={**evidence.manifests, "train": changed}))
    assert "`matryoshka` (weight 1, dims 384 and 96, of `kl` (teacher ce, weight 0.5))" in card
    assert "`unic` (models `teach` and org/other, drop 0.5)" in card


def test_without_a_licence_the_card_claims_none(evidence):
    card = model_card(evidence)
    assert "license" not in yaml.safe_load(card.split("---")[1])
    assert "No licence is declared" in card
    assert "No licence is declared" not in model_card(evidence, license="mit")


def test_the_recipes_own_name_of_the_base_is_used_where_the_manifest_has_it(evidence):
    assert "- Base model: known by its files, digest `" in model_card(evidence)
    train = {**evidence.manifests["train"], "config": {"student": {"base": "org/mini"}}}
    card = model_card(replace(evidence, manifests={**evidence.manifests, "train": train}))
    assert "- Base model: `org/mini`, digest `" in card
    assert yaml.safe_load(card.split("---")[1])["base_model"] == "org/mini"
    towers = {"student": {"query": {"kind": "static"}, "document": {"base": "org/deep", "frozen": True}}}
    manifests = {**evidence.manifests, "train": {**train, "config": towers}}
    assert "- Base model: `org/deep`" in model_card(replace(evidence, manifests=manifests))


def test_a_student_from_outside_the_run_still_has_a_card(evidence):
    card = model_card(replace(evidence, manifests={"evaluate": evidence.manifests["evaluate"]}))
    assert "## Results" in card
    assert "- Teacher:" not in card


def test_a_learned_temperature_is_told_in_words(evidence) -> None:
    term = {"kind": "infonce", "weight": 0.5, "temperature": {"learned_from": 0.05, "rate": 10.0}, "top": None}
    assert _term(evidence, term) == "`infonce` (weight 0.5, temperature (learned from 0.05, rate 10))"
