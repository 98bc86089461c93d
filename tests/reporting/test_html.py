"""The page says what the files say, escapes what it is given, and loads nothing."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from retkd.reporting.evidence import Evaluation
from retkd.reporting.figures import ABSENT
from retkd.reporting.html import render
from retkd.reporting.model_card import model_card
from retkd.stages import evaluate
from tests.reporting import made
from tests.reporting.reading import Page


def test_the_tables_hold_the_measures(evidence, page):
    tables = Page(page).tables
    measures = evidence.evaluation.measures["test"]
    assert tables[0][0] == ["System", "nDCG@10", "MRR@10", "R@100"]
    assert [row[0] for row in tables[0][1:]] == [
        "BM25",
        "zero-shot student",
        "contrastive control",
        "teacher",
        "distilled student",
    ]
    line = measures["student"]["nDCG@10"]
    cell = tables[0][5][1]
    assert cell.startswith(f"{line['mean']:.3f} [{line['low']:.3f}, {line['high']:.3f}]")
    assert f"+{line['difference']:.3f}, p " in cell
    assert "baseline" in tables[0][3][1]


def test_from_four_measures_on_intervals_stand_below_so_that_the_table_fits(run, evidence, tmp_path, page):
    assert '<table class="results" ' in page
    shutil.copytree(run.artifacts["evaluate"] / "runs", tmp_path / "runs")
    config = evaluate.Config(
        systems=made.SYSTEMS, measures=["nDCG@10", "nDCG@3", "MRR@10", "R@5", "R@100"], num_resamples=100
    )
    evaluate.run(config, run, tmp_path)
    shown = render(replace(evidence, evaluation=Evaluation.read("evaluate", tmp_path)))
    assert Page(shown).tables[0][0][1:] == ["nDCG@10", "nDCG@3", "MRR@10", "R@5", "R@100"]
    assert '<table class="results many" ' in shown


def test_the_headline_says_what_happened(evidence, page):
    assert Page(page).headline == "The distilled student beats the contrastive control on test nDCG@10."
    gap = evidence.evaluation.gap["test"]
    assert f"It closes {100 * gap['closed']:.0f}\N{NO-BREAK SPACE}% of the gap" in page


def test_nothing_is_loaded_from_anywhere(page):
    loading = [
        (tag, name, value)
        for tag, name, value in Page(page).attributes
        if name in ("src", "srcset", "action", "data", "poster") or (name == "href" and not value.startswith("#"))
    ]
    assert loading == []
    assert not re.search(r"url\(|@import|<script|<link|<iframe", page)
    assert len(page.encode()) < 1_000_000


def test_every_text_is_escaped(evidence):
    evil = "<script>alert('&')</script>"
    won_lost = json.loads(json.dumps(evidence.evaluation.won_lost))
    example = won_lost["test"]["won"][0]
    example["query"] = example["positive"]["text"] = example["top"]["bm25"]["text"] = evil
    audits = json.loads(json.dumps(evidence.audits))
    audits["select"]["checks"]["positives among negatives, by text"]["examples"] = [{"query_id": evil}]
    judge = audits["select"]["negatives_to_judge"][0]
    judge["query"] = judge["negative"]["text"] = judge["positive"]["source"] = evil
    manifests = {**evidence.manifests, "train": {**evidence.manifests["train"], "note": evil}}
    evaluation = replace(evidence.evaluation, won_lost=won_lost)
    page = render(
        replace(
            evidence, evaluation=evaluation, audits=audits, manifests=manifests, recipe=evil, collection={evil: evil}
        )
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") >= 8


def test_every_section_is_there_and_every_manifest(evidence, page):
    names = "results gap training scores audit disagreement queries cost collection manifests"
    for section in names.split():
        assert f'id="{section}"' in page
        assert section == "manifests" or f'href="#{section}"' in page
    for manifest in evidence.manifests.values():
        assert manifest["key"][:12] in page
        assert manifest["digest"] in page
    assert page.count("<svg") == 3 + 1 + 5
    example = evidence.evaluation.won_lost["test"]["lost"][0]
    assert example["query_id"] in page
    assert "What was asked for" in page


def facts_of(page: str, stage: str) -> list[tuple[str, str]]:
    """(what, value) of a stage's card under sizes and speeds."""
    section = page[page.index("<h3>Sizes and speeds</h3>") : page.index('id="collection"')]
    card = section[section.index(f"<h3>{stage}</h3>") :].partition("</dl>")[0]
    return re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", card)


def test_sizes_and_speeds_are_told_in_plain_words(page):
    assert facts_of(page, "export") == [
        ("onnx is compared on", "64 queries, 1,032 documents"),
        ("lowest cosine, onnx to model", "0.9999"),
        ("greatest difference, onnx to model", "2.4e-07"),
        ("ten best in common, onnx and model", "100.0\N{NO-BREAK SPACE}%"),
        ("nDCG@10 of the model, 64 queries", "0.7408"),
        ("nDCG@10 of onnx, 64 queries", "0.7406"),
        ("size of onnx", "58.7 MiB"),
        ("onnx: ms to encode a single query", "0.92"),
        ("model: queries encoded per second", "274.3"),
    ]
    assert facts_of(page, "index")[1:] == [
        ("dimensions", "384"),
        ("size of index", "6.84 MiB"),
        ("time to measure its recall", "0.31 s"),
        ("time to build the index", "1.5 s"),
    ]
    assert ("distilled student: ms to search with a query", "0.27") in facts_of(page, "evaluate")
    assert page.count("its measures are not those of the evaluation, which searches the whole collection") == 1


def test_costs_say_which_rows_they_count(evidence, page):
    assert "Rows are those of all splits; the audit above counts one split." in page
    assert "Rows are those of all splits." in render(replace(evidence, audits={}))


def test_where_teachers_differ_is_told_with_texts(page):
    section = page[page.index('id="disagreement"') : page.index('id="queries"')]
    assert "score, dev: ce and bi" in section
    assert "mean tau 0.412, from -0.310 to 0.970, over 498 of 501 queries" in section
    assert "ce 4.210 (+1.900 in its list), bi 0.120" in section
    assert "def join(a, *p):" in section
    assert "no list in which both teachers tell documents apart" in section
    (table,) = Page(section).tables[:1]
    assert table == [["Query", "tau"], ["Return the absolute value.", "\N{MINUS SIGN}0.310"]]
    assert '<div class="scroll"><table>' in section


def test_what_a_run_lacks_is_left_out(evidence):
    lone = replace(
        evidence, traces={}, audits={}, disagreements={}, manifests={"evaluate": evidence.manifests["evaluate"]}
    )
    page = render(lone)
    for section in ("training", "audit", "disagreement"):
        assert f'id="{section}"' not in page
        assert f'href="#{section}"' not in page


def test_other_evaluations_get_tables_of_their_own(evidence):
    other = replace(evidence.evaluation, name="evaluate.cranfield")
    page = render(replace(evidence, others=[other]))
    assert "evaluate.cranfield: test" in page
    assert len([table for table in Page(page).tables if table[0][:2] == ["System", "nDCG@10"]]) == 4


def test_one_system_alone_makes_a_page_and_a_card(run, evidence, tmp_path):
    shutil.copytree(run.artifacts["evaluate"] / "runs", tmp_path / "runs")
    config = evaluate.Config(systems={"bm25": made.SYSTEMS["bm25"]}, num_resamples=100)
    evaluate.run(config, run, tmp_path)
    alone = replace(evidence, evaluation=Evaluation.read("evaluate", tmp_path))
    page = render(alone)
    assert Page(page).headline == "Nothing can be said about the distilled student yet."
    assert "Not evaluated here: control (a system named" in page
    assert "| BM25 |" in model_card(alone)


def test_a_long_list_of_outputs_is_cut(evidence):
    outputs = {f"part-{i:05d}.parquet": {"sha256": "0" * 64, "bytes": 1} for i in range(2200)}
    manifests = {**evidence.manifests, "mine": {**evidence.manifests["mine"], "outputs": outputs}}
    page = render(replace(evidence, manifests=manifests))
    assert "part-00023" in page
    assert "part-00024" not in page
    assert "and 2176 more" in page


@pytest.mark.parametrize("closed", [-0.3, 0.0, 0.5, 1.4])
def test_the_meter_shows_any_share(evidence, closed):
    gap = {**evidence.evaluation.gap["test"], "closed": closed, "low": closed - 0.4, "high": closed + 0.4}
    page = render(replace(evidence, evaluation=replace(evidence.evaluation, gap={"test": gap, "dev": gap})))
    at = [float(value) for value in re.findall(r"--(?:at|from|wide): (-?[\d.]+)%", page)]
    assert at
    assert all(0.0 <= value <= 100.0 for value in at)


def test_a_person_can_judge_the_negatives(page):
    """Both texts, both teachers' scores, and who puts the negative above the positive."""
    assert "Are these negatives? 1 drawn at random, 1 with a teacher that puts them above the positive" in page
    (table,) = [table for table in Page(page).tables if table[0] == ["Teacher", "Positive", "Negative"]]
    assert table[1:] == [["ce", "3.250", "4.500"], ["bi", "0.500", ABSENT]]
    assert '<span class="delta bad">ce above</span>' in page
    for text in ("join two paths", "posixpath.join", "ntpath.join", "Negative, rank 2 of bm25"):
        assert text in page


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({}, "no teacher has scored these lists"),
        ({"ce": {"negative": None, "positive": None}}, "no teacher has scored these lists"),
        ({"ce": {"negative": 4.5, "positive": None}}, "no teacher has scored one of them and its positive"),
    ],
)
def test_negatives_that_no_teacher_compares_with_a_positive_are_not_counted(evidence, scores, told):
    """A 0 there would read as a clean bill."""
    negatives = [{**made.negative_to_judge(), "scores": scores, "above": []}]
    page = render(replace(evidence, audits={"select": {**evidence.audits["select"], "negatives_to_judge": negatives}}))
    assert f"Are these negatives? 1 drawn at random; {told}</span>" in page
    assert "above the positive" not in page


def test_the_share_of_false_negatives_has_its_interval_and_each_filter_its_row(page):
    words = " ".join(re.sub(r"<[^>]+>|&nbsp;|\xa0", " ", page).split())
    assert "by the judgements of the split human, relevant from grade 2" in words
    assert "15.0 % are relevant (95 % interval 7.1 % to 29.1 %, 6 of 40); of all mined candidates, 30.0 %" in words
    (table,) = [
        table for table in Page(page).tables if table[0] == ["Filter, alone", "Recall", "Precision", "Still relevant"]
    ]
    cells = [cell.replace("\xa0", " ") for cell in table[1]]
    assert cells == [
        "margin filter on ce",
        "80.0 % [49.0 %, 94.3 %]8 of 10",
        "40.0 % [21.9 %, 61.3 %]8 of 20",
        "2.5 % [0.7 %, 8.7 %]2 of 80",
    ]


def test_judgements_of_relevant_documents_alone_give_no_precision(evidence):
    audits = json.loads(json.dumps(evidence.audits))
    told = audits["select"]["false_negatives"]
    told.update(both=False, mined=None, sampled=None)
    told["filters"][0].update(precision=None, kept=None)
    page = render(replace(evidence, audits=audits))
    assert "These judgements name relevant documents alone" in page
    assert [table[1][2:] for table in Page(page).tables if table[0][0] == "Filter, alone"] == [[ABSENT, ABSENT]]


def test_an_audit_without_negatives_and_judgements_says_nothing_of_them(evidence):
    audits = {"select": {**evidence.audits["select"], "negatives_to_judge": [], "false_negatives": None}}
    page = render(replace(evidence, audits=audits))
    assert "Are these negatives?" not in page
    assert "False negatives" not in page


LANGUAGES = {
    "test": {"en-de": {"num_queries": 7, "means": {"student": {"nDCG@10": 0.25}, "teacher": {"nDCG@10": 0.5}}}}
}


def test_the_table_by_language_is_there_where_languages_are_told(evidence, page):
    assert 'id="languages"' not in page
    other = replace(evidence.evaluation, name="evaluate-zh", languages={"test": {"en-zh": LANGUAGES["test"]["en-de"]}})
    told = replace(evidence.evaluation, languages=LANGUAGES)
    shown = render(replace(evidence, evaluation=told, others=[other]))
    assert 'href="#languages"' in shown
    (table,) = [table for table in Page(shown).tables if table[0][:3] == ["Evaluation", "Query-document", "Queries"]]
    assert table[0][3:] == ["distilled student", "teacher"]
    assert table[1] == ["test", "en-de", "7", "0.250", "0.500"]
    assert table[2] == ["evaluate-zh: test", "en-zh", "7", "0.250", "0.500"]
