"""The HTML page in a real browser: what it shows equals `results.json`, and what can be done in it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import HOSTILE, Made, Opened

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.acceptance, pytest.mark.browser]

P95 = "response_time_p95"


def ready(opened: Opened) -> Page:
    """The page after its script has drawn the charts and the jobs."""
    opened.page.locator("html[data-ready=yes]").wait_for(state="attached")
    return opened.page


def chart(page: Page, panel: str) -> Locator:
    return page.locator(f"#run-charts .chart[data-panel={panel}]")


def line(made: Made, panel: str, series: str) -> list[float | None]:
    panels = {one["id"]: one for one in made.data["timeline"]["panels"]}
    values: list[float | None] = next(one["values"] for one in panels[panel]["series"] if one["id"] == series)
    return values


def shown(text: str) -> float | None:
    return None if text == "\N{EN DASH}" else float(text.replace(",", ""))


def serious(page: Page, axe: str) -> list[tuple[str, str]]:
    """Barriers that axe-core calls serious or critical, each with the first element that has it."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


def column(page: Page, table: str, number: int) -> list[str]:
    return page.locator(f"{table} tbody tr:visible td:nth-child({number})").all_inner_texts()


def test_nothing_is_refused_loaded_or_complained_about(opened: Opened) -> None:
    page = ready(opened)
    page.locator("#cases").scroll_into_view_if_needed()  # the charts of a case are drawn when they come near the window
    page.locator("#case-charts .uplot").first.wait_for()
    assert opened.complaints == []
    assert page.title().startswith("Reelbench: run made-0001")


def test_percentiles_of_the_page_equal_those_of_the_results(opened: Opened, made: Made) -> None:
    page = ready(opened)
    rows = {
        cells[0]: float(cells[5])
        for row in page.locator("#cases .grid tbody tr").all()
        if (cells := row.locator("td").all_inner_texts())[5] != "-"
    }
    expected = {
        f"{one['scenario']} / {one['case']}": one["value"]
        for one in made.results["numbers"]
        if (one["sli"], one["source"]) == (P95, "records") and one["value"] is not None
    }
    assert len(expected) >= 5
    assert {name: rows[name] for name in expected} == pytest.approx(expected, abs=0.0006)


def test_the_keyboard_moves_the_cursor_and_the_legend_shows_the_values(opened: Opened, made: Made) -> None:
    page = ready(opened)
    panel = chart(page, "jobs")
    panel.locator(".chart-place").focus()
    page.keyboard.press("Home")
    for at, expected in enumerate(line(made, "jobs", "arrivals")[:4]):
        value = panel.locator(".chart-value").first.inner_text()
        assert shown(value) == pytest.approx(expected, rel=0.01), at
        page.keyboard.press("ArrowRight")


def test_hovering_shows_the_time_and_the_values_of_all_charts(opened: Opened, made: Made) -> None:
    page = ready(opened)
    plot = chart(page, "jobs").locator(".u-over")
    plot.hover()
    label = page.locator("#run-charts .chart-time").inner_text()
    assert "UTC" in label
    begin = label.split(" ")[0].split(":")
    at = round((int(begin[0]) * 60 + float(begin[1])) / made.data["timeline"]["step"])
    for panel, series in (("jobs", "arrivals"), ("in_flight", "in_flight")):
        value = shown(chart(page, panel).locator(".chart-value").first.inner_text())
        assert value == pytest.approx(line(made, panel, series)[at], rel=0.01)


def test_a_series_is_switched_off_and_on(opened: Opened) -> None:
    page = ready(opened)
    button = chart(page, "jobs").get_by_role("button", name="arrivals")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"


def test_dragging_zooms_and_the_button_shows_the_whole_time_again(opened: Opened) -> None:
    page = ready(opened)
    whole = page.locator("#run-charts .chart-reset")
    assert whole.is_disabled()
    plot = chart(page, "jobs").locator(".u-over")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50, steps=5)
    page.mouse.up()
    page.locator("#run-charts .chart-reset:enabled").click()
    assert whole.is_disabled()


def test_a_table_sorts_by_numbers_and_filters_by_text(opened: Opened, made: Made) -> None:
    page = ready(opened)
    table = "#cases .grid"
    page.locator(table).scroll_into_view_if_needed()
    before = column(page, table, 1)
    button = page.locator(table).get_by_role("button", name="P95 [s]", exact=True)
    button.click()
    button.click()
    values = [float(text) for text in column(page, table, 6) if text != "-"]
    assert values == sorted(values, reverse=True)
    assert len(values) >= 5
    assert page.locator(f"{table} th[aria-sort=descending]").count() == 1
    name = made.data["cases"][0]["scenario"]
    page.locator(f"{table} input[type=search]").fill(name)
    expected = [text for text in before if name in text]
    assert sorted(column(page, table, 1)) == sorted(expected)


def test_the_list_of_jobs_filters_sorts_and_keeps_mark_up_as_text(opened: Opened, made: Made) -> None:
    page = ready(opened)
    jobs = page.locator("#jobs")
    jobs.get_by_label("Outcome").select_option("failed")
    failed = [row for row in made.data["jobs"] if row[4] == "failed"]
    assert jobs.locator("output").inner_text() == f"{len(failed)} of {len(made.data['jobs']):,} jobs"
    assert HOSTILE in column(page, "#jobs", 6)
    assert page.title().startswith("Reelbench")
    jobs.get_by_label("Outcome").select_option("")
    button = jobs.get_by_role("button", name="Response time [s]")
    button.click()
    button.click()
    longest = max(row[3] for row in made.data["jobs"])
    assert float(column(page, "#jobs", 4)[0].replace(",", "")) == pytest.approx(longest, abs=0.0006)


def test_a_job_opens_as_the_waterfall_of_its_spans(opened: Opened, made: Made) -> None:
    page = ready(opened)
    first = next(row for row in made.data["jobs"] if row[7] >= 0)
    page.locator("#jobs").get_by_label("Filter").fill(made.data["cases"][first[0]]["scenario"])
    page.locator("#jobs button.open").first.click()
    dialog = page.get_by_role("dialog")
    spans: list[Any] = made.data["traces"][first[7]]
    assert dialog.locator("tbody tr").count() == len(spans)
    assert float(dialog.locator("tbody td:nth-child(4)").first.inner_text()) == spans[0][4]
    assert dialog.locator("tbody td:nth-child(1)").first.inner_text() == made.data["words"][spans[0][2]]
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Opened, axe: str, colours: str) -> None:
    page = ready(opened)
    page.locator("#tools select").select_option(colours)
    page.locator("#jobs button.open").first.scroll_into_view_if_needed()
    assert serious(page, axe) == []


def test_400_pixels_are_wide_enough(narrow: Opened) -> None:
    page = ready(narrow)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    box = page.locator("#run-charts .uplot").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 400


def test_without_script_the_numbers_are_there(without_script: Opened, made: Made) -> None:
    page = without_script.page
    cells = column(page, "#cases .grid", 2)
    assert [int(text) for text in cells] == [one["jobs"] for one in made.data["cases"]]
    assert page.locator("#over-time noscript").inner_text() != ""
