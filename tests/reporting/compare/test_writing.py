"""The files of reports about several runs: figures, page, LaTeX and CSV, from the same records as the Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from reelbench.reporting.compare import charts
from reelbench.reporting.compare.ablation import write_ablation
from reelbench.reporting.compare.cells import ONE_SIDE
from reelbench.reporting.compare.comparison import export
from reelbench.reporting.compare.records import ComparisonRecord, Verdict
from reelbench.reporting.compare.repetitions import write_repetitions
from reelbench.reporting.compare.report import page
from reelbench.reporting.compare.writing import Output
from reelbench.reporting.document.report import Chart, Table
from reelbench.reporting.formats import Format
from tests.reporting.compare.variants import copy, noisy

ALL = Output(frozenset(Format))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def stored(path: Path) -> dict[str, object]:
    text = path.read_text(encoding="utf-8")
    found: dict[str, object] = json.loads(text.partition('id="page-data">')[2].partition("</script>")[0])
    return found


def compared(measured_dir: Path, tmp_path: Path, output: Output) -> tuple[ComparisonRecord, Path]:
    slow = copy(measured_dir, tmp_path / "slow", noisy(1), scale=1 / 1.3)
    return export(slow, measured_dir, output=output).record, slow / "reports"


@pytest.mark.extended
def test_a_comparison_has_every_format(measured_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "page.html"
    record, folder = compared(measured_dir, tmp_path, Output(frozenset(Format), html=elsewhere))
    assert elsewhere.read_bytes() == (folder / "comparison.html").read_bytes()
    figures = {path.stem for path in (folder / "figures").glob("comparison_*.svg")}
    assert figures == {"comparison_changes", "comparison_distribution", "comparison_over_time"}
    document = (folder / "latex" / "comparison.tex").read_text()
    assert all(rf"{{figures/{name}}}" in document for name in figures)
    assert all((folder / "latex" / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF") for name in figures)
    found = rows(folder / "csv" / "comparison.csv")
    assert len(found) == len(record.findings)
    first, finding = found[0], record.findings[0]
    assert (first["sli"], first["unit"]) == (finding.sli, finding.unit)
    assert float(first["difference"]) == finding.difference
    assert first["interval_lower"] == ("" if finding.interval.lower is None else repr(finding.interval.lower))


def test_the_table_of_the_page_has_every_indicator_with_both_intervals(measured_dir: Path, tmp_path: Path) -> None:
    record, _ = compared(measured_dir, tmp_path, Output(frozenset(), charts=False))
    (table,) = [
        block for section in page(record).sections if section.title == "All indicators" for block in section.blocks
    ]
    assert isinstance(table, Table)
    assert len(table.rows) == len(record.findings) + len(record.alone)
    order = [str(verdict) for verdict in Verdict]
    verdicts = [row[2].strip("*") for row in table.rows[: len(record.findings)]]
    assert verdicts == sorted(verdicts, key=order.index)
    assert {row[2] for row in table.rows[len(record.findings) :]} <= {ONE_SIDE}
    (chosen,) = [f for f in record.findings if (f.sli, f.place) == ("response_time_avg", "throughput / n50")]
    lower, upper = chosen.run_interval.lower, chosen.run_interval.upper
    assert lower is not None
    assert upper is not None
    assert lower < chosen.run < upper
    (row,) = [row for row in table.rows if row[:2] == (chosen.title, chosen.place)]
    assert row[3].startswith(f"{chosen.run:.4g} s ({lower:.4g} s to {upper:.4g} s)")


@pytest.mark.extended
def test_the_percentiles_of_the_page_are_those_of_the_records(measured_dir: Path, tmp_path: Path) -> None:
    record, folder = compared(measured_dir, tmp_path, ALL)
    data = stored(folder / "comparison.html")
    cases = data["cases"]
    assert isinstance(cases, list)
    levels = data["levels"]
    assert isinstance(levels, list)
    shown = {(one["scenario"], one["case"]): one for one in cases}
    medians = [f for f in record.findings if f.sli == "response_time_p50"]
    assert len(medians) >= 5
    for finding in medians:
        one = shown[finding.scenario, finding.case]
        assert one["run"]["values"][levels.index(50)] == pytest.approx(finding.run, rel=1e-3)
        assert one["baseline"]["values"][levels.index(50)] == pytest.approx(finding.baseline, rel=1e-3)
        lower = finding.run_interval.lower
        assert one["run"]["lower"][levels.index(50)] == (None if lower is None else pytest.approx(lower, rel=1e-3))
    found = [f for f in record.findings if f.sli.startswith("response_time_") and f.verdict is Verdict.DIFFERS]
    first = data["first"]
    assert isinstance(first, int)
    assert cases[first]["case"] == max(found, key=lambda f: f.size).case


def test_both_runs_over_time_have_equal_bins(measured_dir: Path, tmp_path: Path) -> None:
    _, folder = compared(measured_dir, tmp_path, Output(frozenset({Format.HTML}), charts=False))
    timelines = stored(folder / "comparison.html")["timelines"]
    assert isinstance(timelines, list)
    run, baseline = timelines
    assert run["step"] == baseline["step"]
    lengths = {len(line["values"]) for one in timelines for panel in one["panels"] for line in panel["series"]}
    assert len(lengths) == 1
    ends = [max(shade["to"] for shade in one["shades"]) for one in (run, baseline)]
    assert ends[0] / ends[1] == pytest.approx(1.3, rel=0.05)


@pytest.mark.extended
def test_repetitions_and_an_ablation_have_every_format(measured_dir: Path, tmp_path: Path) -> None:
    runs = [copy(measured_dir, tmp_path / f"r{i}", noisy(i)) for i in range(3)]
    record = write_repetitions(tmp_path / "x.repeat", runs, ALL).record
    folder = tmp_path / "x.repeat" / "reports"
    assert (folder / "repetitions.html").is_file()
    assert (folder / "figures" / "repetitions_spread.svg").is_file()
    assert r"\includegraphics" in (folder / "latex" / "repetitions.tex").read_text()
    found = rows(folder / "csv" / "repetitions.csv")
    assert [float(one["values_2"]) for one in found] == [one.values[1] for one in record.indicators]
    write_ablation(tmp_path / "x.ablation", runs[:1], {"cache": runs[1:2]}, ALL)
    folder = tmp_path / "x.ablation" / "reports"
    assert (folder / "ablation.html").is_file()
    assert (folder / "figures" / "ablation_effects.svg").is_file()
    assert (folder / "latex" / "ablation.tex").is_file()
    assert len(rows(folder / "csv" / "ablation_cache.csv")) >= 10


def test_differences_are_drawn_in_per_cent_with_their_intervals(measured_dir: Path, tmp_path: Path) -> None:
    record, _ = compared(measured_dir, tmp_path, Output(frozenset(), charts=False))
    (chart,) = charts.changes(record)
    assert isinstance(chart, Chart)
    (cause,) = record.causes(Verdict.DIFFERS)
    assert chart.labels[0] == f"{cause.lead.title}\n{cause.lead.place}"
    series = {one.name: one for one in chart.series}
    assert cause.lead.relative is not None
    assert cause.lead.relative_interval.lower is not None
    drawn = series[Verdict.DIFFERS.value]
    assert drawn.ys[0] == pytest.approx(cause.lead.relative * 100)
    assert drawn.errors[0][0] == pytest.approx((cause.lead.relative - cause.lead.relative_interval.lower) * 100)
    for row in range(len(chart.labels)):
        assert sum(not math.isnan(one.ys[row]) for one in chart.series) == 1
