"""Every percentile from PromQL is shown with the bucket that bounds its error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reelbench.loadgen.record.jobs import read_requests
from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.document import text as wording
from reelbench.reporting.evidence import measurements
from reelbench.reporting.evidence.buckets import Bound
from reelbench.reporting.export import export
from reelbench.reporting.statistics.intervals import percentile
from tests.report_text import report_text
from tests.reporting.evidence_of import measurement

BUCKET = r"\(bucket (\S+) (?:to (\S+)|and above)\)"


def cells(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The first table below a heading: cells by column, keyed by the first two cells of the row."""
    below = text.split(f"# {heading}\n", 1)[1].splitlines()
    start = next(i for i, line in enumerate(below) if line.startswith("|"))
    names = [cell.strip() for cell in below[start].strip("|").split("|")]
    found = {}
    for line in below[start + 2 :]:
        if not line.startswith("|"):
            break
        row = [cell.strip() for cell in line.strip("|").split(" | ")]
        found[" ".join(row[:2])] = dict(zip(names, row, strict=True))
    return found


@pytest.fixture(scope="module")
def performance(measured: Path) -> str:
    return report_text(measured, "performance")


def test_every_percentile_of_the_appendix_has_its_bucket(measured: Path, performance: str) -> None:
    kept = measurements.read(measured)
    assert kept is not None
    percentiles = {sli.id for sli in load().slis if sli.quantile is not None}
    lines = performance.split(": Queries\n")[1].splitlines()
    checked = 0
    for m in kept.measurements:
        if m.sli not in percentiles or m.value is None or m.scenario != "concurrent_load":
            continue
        (line,) = [line for line in lines if f"`{m.query}`" in line.replace(r"\|", "|") and f" {m.case} " in line]
        found = re.search(BUCKET, line)
        assert found is not None, line
        assert m.bound is not None
        assert float(found[1]) == pytest.approx(m.bound.lower, rel=1e-5)
        assert float(found[2]) == pytest.approx(m.bound.upper, rel=1e-5)
        checked += 1
    assert checked == 5 * 5  # response time P50, P95, P99, queue time P95, send delay P99 at five levels


def test_percentiles_in_tables_have_their_bucket(measured: Path, performance: str) -> None:
    kept = measurements.read(measured)
    assert kept is not None
    known = {
        (m.sli, m.case, m.member): m for m in kept.measurements if m.scenario in {"concurrent_load", "api_latency"}
    }
    judged = cells(performance, "Objectives")
    for operation in ("create", "retrieve", "list", "content", "manifest", "delete"):
        sent = (r for r in read_requests(measured) if (r.scenario, r.operation) == ("api_latency", operation))
        exact = percentile(sorted(r.duration for r in sent if not r.warmup), 0.95)
        row = judged[f"P95 API latency api_latency / {operation}"]
        assert row["Value"] == wording.with_unit(exact.value, "s")
        assert row["95 % CI"] == f"from {wording.with_unit(exact.interval.lower, 's')}"
        bound = known["api_latency_p95", "", operation].bound
        assert bound is not None
        assert cells(performance, "API latency by operation")[f"{operation} 40"]["Bucket [ms]"] == wording.bucket(
            bound, "ms"
        )
    assert judged["Success rate single_request / n01"]["95 % CI"] == "96.38 % to 100 %"
    for level, row in zip((1, 5, 10, 20, 50), cells(performance, "Concurrent load").values(), strict=True):
        queue = known["queue_time_p95", f"n{level:02}", ""]
        assert row["Queue P95 [s]"] == f"{wording.seconds(queue.value)} (bucket {wording.bucket(queue.bound)})"
    assert all(row["P95 bucket [s]"] != "-" for row in cells(performance, "Components of a job").values())
    assert re.search(rf"P95 of a single request.*PromQL 0\.\d+ {BUCKET} s", performance)


@pytest.mark.extended
def test_percentiles_of_the_reliability_report_have_their_bucket(measured_outages: Path) -> None:
    text = report_text(measured_outages, "reliability")
    rows = re.findall(
        r"^\| (?:normal_operation|tts_failures) .*$", text.split("## Error recovery")[1].split("\n## ")[0], re.MULTILINE
    )
    shown = [row for row in rows if re.search(rf"{BUCKET}", row)]
    assert len(shown) == 2


def test_the_last_bucket_has_no_upper_bound() -> None:
    above = measurement("response_time_p99", "throughput", value=600.0, bound=Bound(600.0, None))
    assert wording.quantile(above) == "600.000 (bucket > 600.000)"
    assert wording.quantile(measurement("x", "y", value=0.0123, bound=Bound(0.01, 0.0125)), "ms") == (
        "12.3 (bucket 10.0 to 12.5)"
    )
    assert wording.quantile(measurement("x", "y", value=None)) == wording.quantile(None) == "-"


def test_a_verdict_in_words_has_the_exact_value_and_its_interval(measured_dir: Path, tmp_path: Path) -> None:
    strict = tmp_path / "slis.yaml"
    text = Path("reporting/catalogue/slis.yaml").read_text()
    strict.write_text(re.sub(r"(id: api_latency_p95.*?value: )0\.5", r"\g<1>0.001", text, count=1, flags=re.DOTALL))
    exported = export(measured_dir, None, charts=False, catalogue=strict)
    failed = next(v for v in exported.verdicts if v.status == "FAIL" and v.member == "create")
    report = report_text(measured_dir, "performance")
    sent = (r for r in read_requests(measured_dir) if (r.scenario, r.operation) == ("api_latency", "create"))
    exact = percentile(sorted(r.duration for r in sent if not r.warmup), 0.95)
    assert failed.value == exact.value
    assert exact.interval.lower is not None
    (row,) = [line for line in report.split("## Key metrics")[0].splitlines() if "api_latency / create" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    limit = wording.with_unit(exact.interval.lower, "s")
    assert cells[3:6] == [wording.with_unit(exact.value, "s"), f"from {limit}", "40"]
