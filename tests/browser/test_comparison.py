"""The page of a comparison in a real browser: its values equal `comparison.json`, and what can be done in it works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import place_name
from tests.browser.conftest import Made, Opened
from tests.browser.test_page import column, ready, serious

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.acceptance, pytest.mark.browser]

TABLE = "#comparison-report-all-indicators .grid"


def rows(page: Page) -> list[list[str]]:
    return [row.locator("td").all_inner_texts() for row in page.locator(f"{TABLE} tbody tr:visible").all()]


def whole_table(opened: Opened) -> Page:
    """The page with its large table in sight, which the script has prepared."""
    page = ready(opened)
    page.locator(TABLE).scroll_into_view_if_needed()
    page.locator(f"{TABLE} input[type=search]").wait_for()
    return page


def key(one: dict[str, Any]) -> tuple[str, str]:
    return one["title"], place_name(one["scenario"], one["case"], one["member"])


def expected(one: dict[str, Any]) -> list[str]:
    """The beginning of the cells of a finding: verdict, both values, the difference."""
    values = [text.with_unit(one[side], one["unit"]) for side in ("run", "baseline")]
    relative = "-" if one["relative"] is None else f"{one['relative'] * 100:+.1f}"
    return [one["verdict"], *values, relative]


def test_every_finding_stands_in_the_table_with_its_values(comparison: Opened, compared: Made) -> None:
    page = whole_table(comparison)
    shown = {(row[0], row[1]): row for row in rows(page)}
    findings = compared.results["findings"]
    assert len(findings) >= 40
    assert len(shown) == len(findings) + len(compared.results["alone"])
    for one in findings:
        row = shown[key(one)]
        assert [cell.split(" (")[0] for cell in (*row[2:5], row[6])] == expected(one)
        if (lower := one["run_interval"]["lower"]) is not None:
            assert f"({text.with_unit(lower, one['unit'])} to " in row[3]


def test_nothing_is_refused_loaded_or_complained_about(comparison: Opened) -> None:
    page = whole_table(comparison)
    page.locator("#case-charts .uplot").first.wait_for()
    assert page.locator(".time-charts").count() == 3, "a case, and both whole runs"
    assert comparison.complaints == []


def test_the_verdict_comes_first_and_is_that_of_the_record(comparison: Opened, compared: Made) -> None:
    page = ready(comparison)
    differing = [one for one in compared.results["findings"] if one["verdict"] == "differs in these two runs"]
    assert differing
    assert page.locator("header .verdict").inner_text() == "differs in these two runs"
    first = page.locator("main section").first
    assert first.get_attribute("id") == "comparison-report-verdict"
    assert first.locator("p strong").first.inner_text().startswith("1 differs in these two runs, ")


def test_the_table_sorts_by_the_relative_difference_and_values_by_their_unit(comparison: Opened) -> None:
    page = whole_table(comparison)
    for name in ("Relative % (95 % CI)", "Run (95 % CI)"):
        button = page.locator(TABLE).get_by_role("button", name=name, exact=True)
        button.click()
        button.click()
        assert page.locator(f"{TABLE} th[aria-sort=descending]").inner_text().startswith(name)
        if name.startswith("Relative"):
            found = [float(cell.split(" ")[0]) for row in rows(page) if (cell := row[6]) != "-"]
            assert found == sorted(found, reverse=True)
            assert len(found) >= 20
    page.locator(f"{TABLE} input[type=search]").fill("average response time")
    times = [re.fullmatch(r"([\d.]+) (ms|s) .*", row[3]) for row in rows(page)]
    seconds = [float(one[1]) * (1e-3 if one[2] == "ms" else 1) for one in times if one is not None]
    assert len(seconds) >= 5
    assert {one[2] for one in times if one is not None} == {"ms", "s"}
    assert seconds == sorted(seconds, reverse=True)


def test_the_table_filters_by_verdict_place_and_words_together(comparison: Opened, compared: Made) -> None:
    page = whole_table(comparison)
    findings = compared.results["findings"]
    page.locator(TABLE).get_by_label("Verdict").select_option("differs in these two runs")
    differing = {key(one) for one in findings if one["verdict"] == "differs in these two runs"}
    assert {(row[0], row[1]) for row in rows(page)} == differing
    page.locator(f"{TABLE} input[type=search]").fill("P50")
    chosen = {one for one in differing if "P50" in one[0]}
    assert 0 < len(chosen) < len(differing)
    assert {(row[0], row[1]) for row in rows(page)} == chosen
    total = len(findings) + len(compared.results["alone"])
    assert page.locator(f"{TABLE} output").inner_text() == f"{len(chosen)} of {total} rows"


def test_the_percentiles_of_both_sides_are_read_by_the_keyboard(comparison: Opened, compared: Made) -> None:
    page = ready(comparison)
    case = compared.data["cases"][compared.data["first"]]
    chart = page.locator("#case-charts .growth")
    chart.locator(".chart-place").focus()
    page.keyboard.press("Home")
    for at in range(3):
        assert chart.locator("output").inner_text().startswith(f"P{compared.data['levels'][at]:g},")
        for number, side in enumerate(("run", "baseline")):
            shown = re.search(r": ([\d.]+) s", chart.locator("li").nth(number).inner_text())
            assert shown is not None
            assert float(shown[1]) == pytest.approx(case[side]["values"][at], rel=1e-3)
        page.keyboard.press("ArrowRight")


def test_another_case_is_chosen(comparison: Opened, compared: Made) -> None:
    page = ready(comparison)
    other = next(number for number in range(len(compared.data["cases"])) if number != compared.data["first"])
    page.locator("#case-charts select").select_option(str(other))
    case = compared.data["cases"][other]
    assert f"(n = {case['run']['n']:,})" in page.locator("#case-charts li").first.inner_text()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(comparison: Opened, axe: str, colours: str) -> None:
    page = whole_table(comparison)
    page.locator("#tools select").select_option(colours)
    assert serious(page, axe) == []


def test_400_pixels_are_wide_enough(narrow_comparison: Opened) -> None:
    page = ready(narrow_comparison)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    box = page.locator("#whole-0 .uplot").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 400


def test_without_script_no_number_is_missing(comparison_without_script: Opened, compared: Made) -> None:
    page = comparison_without_script.page
    texts = [page.locator(f"{TABLE} tbody td:nth-child({number})").all_text_contents() for number in (1, 2, 3)]
    shown = {(title, place): verdict for title, place, verdict in zip(*texts, strict=True)}
    assert shown | {key(one): one["verdict"] for one in compared.results["findings"]} == shown
    counts = [int(cell.replace(",", "")) for cell in column(page, "#response-times .grid", 2) if cell != "-"]
    assert counts == [case["run"]["n"] for case in compared.data["cases"] if case["run"] is not None]
    assert page.locator("#over-time details").count() == 2
