"""The page of `bayeslat report`: one file, whole, and true to its record."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest

from bayeslat.report.assessment_drawings import draw_assessment
from bayeslat.report.assessment_page import assessment_page
from bayeslat.report.assessment_record import assessment_record
from bayeslat.report.tables import format_ms, format_percent
from tests.assessments import (
    COMMANDS,
    DONOR,
    GPU,
    KINDS,
    TRACES,
    all_rows,
    calibrated,
    drawn,
    judge,
    page_of,
    recorded,
)
from tests.report.html import Outline

pytestmark = pytest.mark.xdist_group("small posterior")

SECTIONS = [
    "Can the predictions be trusted?",
    "What is this GPU good and bad at?",
    "What does the guardrail do?",
    "Is the risk what it says?",
    "What to measure next",
    "Where the numbers come from",
    "The commands that made it",
]
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def lay_out(record: dict[str, Any]) -> str:
    """Lay a page out with a single figure, to save time."""
    return assessment_page(record, [each for each in drawn() if each.name == "coefficients"])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_file_of_balanced_tags(kind: str) -> None:
    outline = Outline.of(page_of(kind))
    assert outline.problems == []
    assert set(re.findall(r"https?://[^\"'<> )]*", page_of(kind))) <= NAMESPACES
    for tag, attributes in outline.attributes:
        assert tag not in {"link", "script", "iframe", "object", "img", "base"}
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in page_of(kind)
    assert not re.search(r"url\((?!#)", page_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_has_a_caption_and_a_text_alternative(kind: str) -> None:
    outline = Outline.of(page_of(kind))
    images = [attributes for tag, attributes in outline.attributes if tag == "svg"]
    assert len(images) == len(drawn(kind)) >= 1
    assert all(each.get("role") == "img" and each.get("aria-label") for each in images)
    assert outline.text_of("figcaption") == [each.get("aria-label") for each in images]
    assert {each.caption for each in drawn(kind)} == set(outline.text_of("figcaption"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_elements_share_an_id(kind: str) -> None:
    ids = [each["id"] for _, each in Outline.of(page_of(kind)).attributes if "id" in each]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_all_sections_are_there(kind: str) -> None:
    expected = SECTIONS
    if recorded(kind)["guardrail"] is None:
        expected = [each for each in SECTIONS if each != "Is the risk what it says?"]
    assert Outline.of(page_of(kind)).text_of("h2") == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_told(kind: str) -> None:
    text = " ".join(Outline.of(page_of(kind)).text_of("p"))
    for why in recorded(kind)["missing"].values():
        assert why in text
    assert "None" not in " ".join(Outline.of(page_of(kind)).text_of("body"))
    assert "nan" not in " ".join(Outline.of(page_of(kind)).text_of("td"))


def test_tables_say_what_the_record_says() -> None:
    cells = Outline.of(page_of()).text_of("td")
    found = recorded()
    for row in found["errors"]:
        assert format_percent(row["mape"]) in cells
    for row in found["guardrail"]["budgets"]:
        assert f"{row['accepts']:,} of {row['configs']:,}" in cells
        assert f"{format_ms(row['budget_ms'])} ms" in cells
    for row in found["risk_control"]["levels"]:
        assert format_percent(row["bound"]) in cells
    for config in found["suggestion"]["configs"]:
        assert str(config["context"]) in cells
    body = " ".join(Outline.of(page_of()).text_of("body"))
    assert f"{found['decisions']['accept']} of {found['decisions']['configs']}" in body


def test_names_of_files_gpus_and_commands_are_shown_as_they_are() -> None:
    outline = Outline.of(page_of())
    for file, _, _ in TRACES:
        assert file in outline.text_of("td")
    assert "NVIDIA <L40S> & co" in outline.text_of("td")
    assert "2026-01-31T12:00:00Z" in outline.text_of("td")
    assert outline.text_of("pre") == ["\n".join(COMMANDS)]
    odd = deepcopy(recorded())
    odd["gpu"] = odd["posterior"]["spec"] = '<i>&"my" gpu'
    odd["caveats"] = ["1 < 2 & 3"]
    odd["missing"] = {"trials": "<none>"}
    page = lay_out(odd)
    assert "i" not in Outline.of(page).tags
    assert '<i>&"my" gpu' in Outline.of(page).text_of("h1")[0]
    assert Outline.of(page).problems == []


def test_the_same_input_gives_the_same_bytes() -> None:
    again = judge(calibrated(), all_rows())
    record = assessment_record(again, TRACES, COMMANDS)
    assert assessment_page(record, draw_assessment(again)) == page_of()
    assert assessment_page(record, drawn()) == page_of()  # drawn before, and not moved by that


def test_knobs_keep_all_of_their_digits() -> None:
    long = deepcopy(recorded())
    long["suggestion"]["configs"][0]["context"] = 1_234_567
    long["suggestion"]["configs"][1]["context"] = 1048576.0
    long["suggestion"]["configs"][2]["context"] = None
    cells = Outline.of(lay_out(long)).text_of("td")
    assert "1234567" in cells
    assert "1048576" in cells
    assert "1.23457e+06" not in cells


def test_the_bound_is_in_the_tiles_where_it_says_something() -> None:
    told = "of all configurations at most are accepted wrongly"
    assert told in page_of("calibrated")
    assert told not in page_of("zero-shot")  # which accepts nothing
    assert told not in page_of("donor")  # whose rows may have been fitted
    assert "that the fit did not see them" in page_of("donor")


def test_rows_at_hand_need_not_be_measured() -> None:
    held = deepcopy(recorded())
    for at_hand, told in (
        ([True, False, True, False], "The traces hold 2 of them already: calibrate with those"),
        ([True, False, False, False], "and run the other 3."),
        ([True] * 4, "The traces hold them already: calibrate with those rows, nothing need be"),
    ):
        held["suggestion"]["at_hand"] = at_hand
        page = lay_out(held)
        assert told in page
        assert ("nothing need be run" in page) == all(at_hand)
        assert Outline.of(page).text_of("td").count("yes") == sum(at_hand)
    held["suggestion"]["at_hand"] = [False] * 4
    assert "already: calibrate" not in lay_out(held)


def test_the_stack_and_the_spec_are_in_the_title() -> None:
    assert Outline.of(page_of()).text_of("title") == [f"small on {GPU}: a budget of 300 ms"]
    stacked = deepcopy(recorded())
    stacked["stack"] = "vllm_0.24.0"
    [title] = Outline.of(lay_out(stacked)).text_of("h1")
    assert title == f"small on {GPU} with vllm_0.24.0: a budget of 300 ms"


def test_a_posterior_that_did_not_converge_is_told() -> None:
    poor = deepcopy(recorded())
    poor["converged"] = False
    assert "did not converge" in lay_out(poor)
    assert "did not converge" not in page_of()


def test_measured_errors_say_what_part_is_noise() -> None:
    assert "against a single run of each configuration" in page_of()
    repeated = deepcopy(recorded())
    repeated["run_to_run"] = 0.134
    assert "one run is 13.4% from the median of the others" in lay_out(repeated)
    assert "the expected MAPE above" in page_of("calibrated")
    assert "the expected MAPE above" not in page_of("zero-shot")


GROSS = {
    "gpu": GPU,
    "file": "<t>.csv",
    "row": 5,
    "config_id": "",
    "ratio": {"prefill": 30.0},
    "repeats": {"prefill": "none"},
    "donor": False,
    "unsettled": True,
}


def test_rows_that_were_set_aside_are_named() -> None:
    record = deepcopy(recorded())
    assert "set aside" not in lay_out(record)
    record["transfer"]["gross_errors"] = [GROSS]
    page = lay_out(record)
    assert "&lt;t&gt;.csv row 5: prefill 30 times too slow; measure it again<br>" in page
    assert Outline.of(page).problems == []


@pytest.mark.parametrize("kind", ["calibrated", "zero-shot", "donor"])
def test_rows_of_donors_that_were_set_aside_are_named(kind: str) -> None:
    record = deepcopy(recorded(kind))
    record["donor_gross_errors"] = [{**GROSS, "gpu": DONOR, "donor": True}]
    page = lay_out(record)
    assert f"1 row of {DONOR} was set aside as a gross error" in page
    assert "Then fit again, with the rows as they should be." in page
    assert "Then calibrate with the new runs" not in page


def test_gross_errors_that_count_in_trials_are_named_with_the_error_without_them() -> None:
    record = deepcopy(recorded("zero-shot"))
    assert "without gross errors" not in lay_out(record)
    record["gross_rows"] = [{**GROSS, "measured_ms": {"prefill": 600.0}}]
    for row in record["errors"]:
        row["mape_sound"] = 0.054
    page = lay_out(record)
    assert "1 row is a gross error, which the GPU&#x27;s other rows make impossible:<br>" in page
    assert "prefill 30 times too slow (600 ms, 20 expected); measure it again" in page
    outline = Outline.of(page)
    assert "MAPE without gross errors, %" in outline.text_of("th")
    assert outline.text_of("td").count("5.4") == len(record["errors"])
    assert "(5.4% without gross errors)." in page
