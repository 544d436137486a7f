"""All formats of the made runs, compared by value with the records and the reports."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import msgspec
import numpy as np
import pytest
from scipy import stats

from reelbench.loadgen.record.run import RunRecord, StoreCount, read_run, write_run
from reelbench.reporting.document.report import Report, Section, Table
from reelbench.reporting.export import export
from reelbench.reporting.formats import DEFAULT, Format, FormatError, formats_of
from reelbench.reporting.render import latex
from reelbench.reporting.results.schema import SCHEMA_FILE
from tests.commands import invoke
from tests.report_text import report_text
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun

ROOT = Path(__file__).parents[2]
GRAFANA = "http://127.0.0.1:3000"
DASHBOARDS = ROOT / "grafana" / "dashboards"
DATA = (Format.CSV, Format.JSON, Format.JUNIT)


def results_of(folder: Path) -> Any:
    return json.loads((folder / "reports" / "results.json").read_bytes())


def number(results: Any, sli: str, scenario: str, case: str = "", *, member: str = "", source: str = "records") -> Any:
    key = (sli, scenario, case, member, source)
    (found,) = [n for n in results["numbers"] if (n["sli"], n["scenario"], n["case"], n["member"], n["source"]) == key]
    return found


def change(folder: Path, edit: Callable[[Any], None]) -> None:
    data = msgspec.to_builtins(read_run(folder))
    edit(data)
    write_run(folder, msgspec.convert(data, RunRecord))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def suites(folder: Path) -> ET.Element:
    return ET.parse(folder / "reports" / "junit.xml").getroot()  # noqa: S314 - our own file


def test_formats_have_any_order_and_unknown_ones_are_one_sentence() -> None:
    assert formats_of("json, md") == (Format.MARKDOWN, Format.JSON)
    assert Format.LATEX not in DEFAULT
    with pytest.raises(FormatError) as caught:
        formats_of("md,pdf,doc")
    assert str(caught.value) == "unknown format 'pdf', 'doc'; choose from md, html, latex, csv, json, junit"
    with pytest.raises(FormatError, match="no format is named"):
        formats_of(" ,")


def test_an_unknown_format_is_rejected_first(measured_dir: Path) -> None:
    done = invoke("export_reports.py", str(measured_dir), "--kept", "--format", "pdf")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --format: unknown format 'pdf'; choose from md, html, latex, csv, json, junit\n"


def test_only_the_requested_formats_are_written(measured_dir: Path) -> None:
    before = set(contents(measured_dir / "reports"))
    exported = export(measured_dir, None, charts=False, formats=(Format.JSON, Format.JUNIT))
    assert [path.name for path in exported.paths] == ["measurements.json", "results.json", "junit.xml"]
    assert set(contents(measured_dir / "reports")) - before == {"results.json", "junit.xml"}


@pytest.mark.acceptance
@pytest.mark.extended
def test_the_same_run_gives_the_same_bytes_in_every_format_with_any_hash_seed(
    outages_dir: Path, tmp_path: Path
) -> None:
    (outages_dir / "reports").rename(tmp_path / "old")
    code = (
        "import sys; from pathlib import Path; from reelbench.reporting.export import export; "
        "from reelbench.reporting.formats import Format; export(Path(sys.argv[1]), None, formats=tuple(Format))"
    )
    command = "from reelbench.suite.commands.command_line import main; sys.exit(main())"  # it reads traces ahead
    every = ",".join(Format)
    made = []
    for seed, words in (
        ("1", [code, str(outages_dir)]),
        ("4711", [code, str(outages_dir)]),
        ("2", [f"import sys; {command}", "report", str(outages_dir), "--kept", "--format", every]),
    ):
        subprocess.run(
            [sys.executable, "-c", *words],
            cwd=ROOT,
            check=words[0] == code,  # the exit code of the command is the verdict
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        made.append(contents(outages_dir / "reports"))
        (outages_dir / "reports").rename(tmp_path / seed)
    assert made[0] == made[1] == made[2]
    names = set(made[0])
    assert {"reliability_report.md", "report.html", "results.json", "junit.xml", "csv/results.csv"} <= names
    assert {"latex/reelbench.tex", "latex/setup.tex", "latex/tables/reliability_objectives.tex"} <= names
    pdfs = {name for name in names if name.endswith(".pdf")}
    assert pdfs
    assert {f"latex/figures/{Path(name).stem}.svg" for name in pdfs} <= names
    assert all(b"CreationDate" not in made[0][name] for name in pdfs)


@pytest.mark.extended
def test_results_match_the_published_schema(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False, formats=DATA)
    schema = json.loads((ROOT / SCHEMA_FILE).read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for record, field in (("ResultValue", "instant"), ("LimitsRecord", "cpu_cores")):
        assert schema["$defs"][record]["properties"][field]["description"]
    results = results_of(measured_dir)
    assert list(validator.iter_errors(results)) == []
    assert results["schema_version"] == 2
    results["numbers"][0]["verdict"] = "MAYBE"
    results["surprise"] = 1
    assert len(list(validator.iter_errors(results))) == 2


def test_a_number_has_value_verdict_sample_and_source_in_one_record(measured_dir: Path, made: MadeRun) -> None:
    exported = export(measured_dir, None, charts=False, formats=DATA)
    results = results_of(measured_dir)
    kept = json.loads((measured_dir / "measurements.json").read_bytes())["measurements"]
    (asked,) = [m for m in kept if (m["sli"], m["scenario"]) == ("response_time_p95", "single_request")]
    estimate = number(results, "response_time_p95", "single_request", "n01", source="prometheus")
    assert (estimate["title"], estimate["verdict"]) == ("P95 response time, estimate by PromQL", None)
    assert (estimate["value"], estimate["bucket"], estimate["query"]) == (
        asked["value"],
        asked["bound"],
        asked["query"],
    )
    found = number(results, "response_time_p95", "single_request", "n01")
    case = made.run.scenarios[0].cases[0]
    times = [j.done - j.due for j in made.jobs if (j.scenario, j.warmup) == ("single_request", False)]
    exact = np.quantile(times, 0.95, method="inverted_cdf")
    assert {
        key: found[key]
        for key in ("value", "n", "query", "instant", "unit", "verdict", "certainty", "objective", "bucket")
    } == {
        "value": exact,
        "n": 100,
        "query": "inverted_cdf(done - due of completed measured jobs, 0.95)",
        "instant": made.instant,
        "unit": "s",
        "verdict": "PASS",
        "certainty": "holds, proven",
        "objective": {"direction": "at_most", "value": 2.0},
        "bucket": None,
    }
    assert (found["started"], found["ended"], found["grafana"]) == (case.started, case.ended, None)
    judged = [n for n in results["numbers"] if n["verdict"] is not None]
    assert Counter(n["verdict"] for n in judged) == Counter(v.status.value for v in exported.verdicts)
    assert len([n for n in results["numbers"] if n["source"] == "prometheus"]) == len(kept)


def test_exact_numbers_and_intervals_equal_independent_references(measured_dir: Path, made: MadeRun) -> None:
    export(measured_dir, None, charts=False, formats=DATA)
    results = results_of(measured_dir)
    jobs = [j for j in made.jobs if (j.scenario, j.case, j.warmup) == ("concurrent_load", "n50", False)]
    part = evidence(made).stretch("concurrent_load", "n50")
    ends = set(part.within(j.done for j in jobs))
    times = [j.done - j.due for j in jobs if j.outcome == "completed" and j.done in ends]
    p95 = number(results, "response_time_p95", "concurrent_load", "n50")
    reference = stats.quantile_test(times, p=0.95).confidence_interval(0.95)
    assert p95["value"] == np.quantile(times, 0.95, method="inverted_cdf")
    assert (p95["n"], p95["interval"]["method"]) == (296, "order statistics")
    assert (p95["interval"]["lower"], p95["interval"]["upper"]) == (reference.low, reference.high)
    average = number(results, "response_time_avg", "concurrent_load", "n50")
    low, high = stats.t.interval(0.95, 295, np.mean(times), stats.sem(times))
    assert (average["interval"]["lower"], average["interval"]["upper"]) == pytest.approx((low, high))
    exact = stats.binomtest(396, 400).proportion_ci(method="exact")
    for source in ("records", "prometheus"):
        success = number(results, "success_rate", "concurrent_load", "n50", source=source)
        assert (success["value"], success["n"]) == (pytest.approx(0.99), 400)
        assert (success["interval"]["lower"], success["interval"]["upper"]) == pytest.approx((exact.low, exact.high))
    assert number(results, "response_time_p99", "single_request", "n01")["interval"]["upper"] is None


def test_rare_events_and_recovery_have_their_own_intervals(outages_dir: Path) -> None:
    export(outages_dir, None, charts=False, formats=DATA)
    results = results_of(outages_dir)
    share = number(results, "integrity_share", "data_integrity")
    exact = stats.binomtest(round(share["value"] * share["n"]), share["n"]).proportion_ci(method="exact")
    assert share["interval"] == {
        "lower": pytest.approx(exact.low), "upper": pytest.approx(exact.high), "method": "Clopper and Pearson",
    }  # fmt: skip
    mttr = number(results, "mttr", "llm_outage")
    interval = mttr["interval"]
    assert 0 <= interval["lower"] < mttr["value"] < interval["upper"]
    assert interval["method"] == "Student's t"
    report = report_text(outages_dir, "reliability")
    values = [f"{x:.3f}" for x in (mttr["value"], interval["lower"], interval["upper"])]
    assert re.search(rf"{values[0]} s.{{1,20}}{values[1]} to {values[2]} s, n = {mttr['n']}\b", report)


def test_outliers_are_named_with_their_trace(measured_dir: Path, made: MadeRun) -> None:
    export(measured_dir, None, charts=False, formats=DATA)
    found = [o for o in results_of(measured_dir)["outliers"] if (o["scenario"], o["case"]) == ("throughput", "n50")]
    jobs = [j for j in made.jobs if (j.scenario, j.warmup) == ("throughput", False)]
    slowest = sorted((j for j in jobs if j.outcome == "completed"), key=lambda j: j.due - j.done)[:3]
    failed = [j for j in jobs if j.outcome == "failed"]
    assert [(o["kind"], o["trace_id"], o["error"]) for o in found] == [
        *(("slowest", j.trace_id, None) for j in slowest),
        *(("not completed", j.trace_id, "scene failed") for j in failed),
    ]
    assert found[0]["response_time"] == slowest[0].done - slowest[0].due


def test_reconciliation_and_provenance_are_whole(measured_dir: Path, made: MadeRun) -> None:
    def limited(data: Any) -> None:
        data["environment"]["limits"] = {"cpu_cores": 1.5, "memory_bytes": 2**30}

    change(measured_dir, limited)
    export(measured_dir, None, charts=False, formats=(Format.MARKDOWN, *DATA))
    results = results_of(measured_dir)
    provenance = results["provenance"]
    assert provenance["environment"]["limits"] == {"cpu_cores": 1.5, "memory_bytes": 1073741824}
    assert (provenance["seed"], provenance["plan_sha256"], provenance["instant"]) == (1, "p" * 64, made.instant)
    assert provenance["environment"]["commit"] == "c" * 40
    assert all(count["agrees"] for count in results["reconciliation"])
    counts = {(c["scenario"], c["source"], c["what"]): c["found"] for c in results["reconciliation"]}
    assert counts["throughput", "traces, root spans", "jobs completed"] == 396
    assert "| 1.5 cores, 1 GiB " in _report(measured_dir)


def test_a_grafana_is_linked_at_the_time_of_each_number(measured_dir: Path, made: MadeRun) -> None:
    (measured_dir / "stack.json").write_bytes(msgspec.json.encode(made.stack() | {"grafana_url": GRAFANA}))
    export(measured_dir, None, charts=False, formats=(Format.MARKDOWN, *DATA))
    scenario = made.run.scenarios[1]
    case = scenario.cases[2]
    assert case.started is not None
    assert case.ended is not None
    found = number(results_of(measured_dir), "response_time_p95", "concurrent_load", "n10", source="prometheus")
    address = urlsplit(found["grafana"])
    assert (address.netloc, address.path) == ("127.0.0.1:3000", "/d/reelbench-live/live-run")
    assert parse_qs(address.query) == {
        "var-run_id": [made.run.run_id],
        "var-scenario": ["concurrent_load"],
        "from": [str(round((case.started - 10) * 1000))],
        "to": [str(round((case.ended + 10) * 1000))],
    }
    text = _report(measured_dir)
    for heading, rows in (("## Objectives", 1), ("## Performance: Queries", 2)):
        part = text.split(f"\n{heading}\n")[1].split("\n## ")[0]
        assert part.count(f"[concurrent_load / n10]({found['grafana']})") >= rows
    whole = parse_qs(urlsplit(number(results_of(measured_dir), "api_latency_p95", "api_latency", member="list",
                                     source="prometheus")["grafana"]).query)  # fmt: skip
    assert whole["from"] == [str(round(((made.run.scenarios[2].started or 0) - 10) * 1000))]


@pytest.mark.extended
def test_an_objective_is_linked_to_the_panel_that_shows_it(
    measured_dir: Path, outages_dir: Path, resources_dir: Path
) -> None:
    boards = {board["uid"]: board for path in DASHBOARDS.glob("*.json") if (board := json.loads(path.read_bytes()))}
    for folder in (measured_dir, outages_dir, resources_dir):
        _check_panels(folder, boards)


def _check_panels(folder: Path, boards: dict[str, Any]) -> None:
    stack = json.loads((folder / "stack.json").read_bytes()) | {"grafana_url": GRAFANA}
    (folder / "stack.json").write_bytes(msgspec.json.encode(stack))
    export(folder, None, charts=False, formats=(Format.MARKDOWN, *DATA))
    judged = [n for n in results_of(folder)["numbers"] if n["verdict"] is not None]
    linked = [n for n in judged if n["panel"]]
    assert linked
    for found in linked:
        address = urlsplit(found["panel"])
        asked = parse_qs(address.query)
        (panel,) = [
            p for p in boards[address.path.removeprefix("/d/")]["panels"] if str(p["id"]) == asked["viewPanel"][0]
        ]
        assert panel["title"] == f"{found['title']}, worst place"
        assert asked["from"] == [str(round((found["started"] - 10) * 1000))]
    assert {n["panel"] for n in judged if n["query"].endswith(f"({n['scenario']})")} <= {None}  # functions of records
    text = "".join(path.read_text() for path in (folder / "reports").glob("*.md"))
    assert f"[{linked[0]['title']}]({linked[0]['panel']})" in text


@pytest.mark.extended
def test_without_a_grafana_there_is_no_link(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False, formats=tuple(Format))
    assert {link for n in results_of(measured_dir)["numbers"] for link in (n["grafana"], n["panel"])} == {None}
    for path in ("performance_report.md", "report.html"):
        assert "/d/reelbench" not in (measured_dir / "reports" / path).read_text()


def test_csv_has_unrounded_numbers_and_the_report_tables(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False, formats=DATA)
    results = results_of(measured_dir)
    with (measured_dir / "reports" / "csv" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results["numbers"])
    for row, found in zip(rows, results["numbers"], strict=True):
        assert row["value"] == ("" if found["value"] is None else repr(found["value"]))
        assert (row["sli"], row["unit"], row["query"]) == (found["sli"], found["unit"], found["query"])
    (success,) = [r for r in rows if (r["sli"], r["case"], r["verdict"]) == ("success_rate", "n20", "PASS")]
    assert (success["value"], success["direction"], success["objective"], success["n"]) == (
        "1.0", "at_least", "0.95", "200",
    )  # fmt: skip
    with (measured_dir / "reports" / "csv" / "performance_response_time.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    (line,) = [line for line in lines if line[0] == "single_request / n01"]
    row = dict(zip(lines[0], line, strict=True))
    assert [row[name] for name in ("n", "Failed", "Min [s]", "Avg [s]", "Max [s]")] == [
        "100", "0", "0.331", "0.621", "1.159",
    ]  # fmt: skip
    assert (row["95 % CI of avg [s]: lower"], row["95 % CI of avg [s]: upper"]) == ("0.592", "0.650")
    assert (row["P99 [s]"], row["P99 [s]: open above"]) == ("1.021", "yes")
    assert not list((measured_dir / "reports" / "csv").glob("*appendix*"))


def test_junit_of_a_good_run_has_a_case_for_each_objective_and_place(measured_dir: Path) -> None:
    exported = export(measured_dir, None, charts=False, formats=DATA)
    root = suites(measured_dir)
    (suite,) = root
    assert (root.tag, suite.tag, suite.get("name")) == ("testsuites", "testsuite", "performance")
    totals = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert totals == {"tests": "19", "failures": "0", "errors": "0", "skipped": "0"}
    cases = suite.findall("testcase")
    assert len(cases) == len(exported.verdicts) + 1
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    times = [float(case.get("time") or "") for case in cases]
    run = read_run(measured_dir)
    assert run.ended is not None
    assert min(times) >= 0
    assert sum(times) == pytest.approx(run.ended - run.started, abs=0.05)
    assert float(root.get("time") or "") == float(suite.get("time") or "") == pytest.approx(sum(times), abs=0.05)
    assert next(child.tag for child in suite) == "properties"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
    (passed,) = [c for c in cases if c.get("name") == "P95 response time: single_request / n01"]
    assert passed.get("classname") == "reelbench.performance.single_request"
    assert passed.findtext("system-out") == "PASS, holds, proven: value 903 ms, objective ≤ 2 s, n = 100"


def test_junit_separates_failures_from_inconclusive_verdicts(measured_dir: Path) -> None:
    def strict(data: Any) -> None:
        data["scenarios"][0]["objectives"] = {"response_time_p95": 0.5}
        data["scenarios"][1]["cases"][4]["generator_cpu"] = 0.93

    change(measured_dir, strict)
    path = measured_dir / "jobs.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    export(measured_dir, None, charts=False, formats=DATA)
    (suite,) = suites(measured_dir)
    failed = {c.get("name"): c[0] for c in suite.findall("testcase") if c.find("failure") is not None}
    assert {name: case.get("message") for name, case in failed.items()} == {
        "P95 response time: single_request / n01": "FAIL, violated, proven: value 903 ms, objective ≤ 500 ms, n = 100"
    }
    assert "inverted_cdf(" in (failed["P95 response time: single_request / n01"].text or "")
    errors = {c.get("name"): c[0] for c in suite.findall("testcase") if c.find("error") is not None}
    assert {name: case.get("type") for name, case in errors.items()} == {
        "Success rate: concurrent_load / n50": "INVALID",
        "Throughput: concurrent_load / n50": "INVALID",
        "Success rate: throughput / n50": "INCONCLUSIVE",
        "Throughput: throughput / n50": "INCONCLUSIVE",
        "Counts agree and the load generator kept up": "INVALID",
    }
    assert (suite.get("failures"), suite.get("errors")) == ("1", "5")


@pytest.mark.extended
def test_a_small_sample_is_skipped_in_quick_only(measured_dir: Path, tmp_path: Path) -> None:
    catalogue = tmp_path / "slis.yaml"
    catalogue.write_text((ROOT / "reporting" / "catalogue" / "slis.yaml").read_text().replace("min_n: 20", "min_n: 50"))
    for profile, kind in (("quick", "skipped"), ("standard", "error")):
        change(measured_dir, partial(dict.update, profile=profile))
        exported = export(measured_dir, None, charts=False, catalogue=catalogue, formats=DATA)
        (suite,) = suites(measured_dir)
        few = [c for c in suite.findall("testcase") if c.find(kind) is not None]
        assert len(few) == sum(1 for v in exported.verdicts if v.too_few) > 0
        bad = sum(int(suite.get(name) or "") for name in ("failures", "errors"))
        assert (bad == 0) == (exported.exit_code == 0), "the file and the exit code agree"


@pytest.mark.extended
def test_hostile_text_is_escaped_in_every_format(measured_dir: Path) -> None:
    bad = '=cmd|"<script>alert(1)</script>![i](http://evil.example/i.png)\\input{/etc/passwd}&\x07'

    def hostile(data: Any) -> None:
        data["document"]["name"] = bad
        data["scenarios"][0]["store"] = msgspec.to_builtins(
            StoreCount(expected=0, found=0, by_status={}, error=f"**bad** {bad}")
        )

    change(measured_dir, hostile)
    jobs = measured_dir / "jobs.jsonl"
    jobs.write_bytes(jobs.read_bytes().replace(b'"scene failed"', msgspec.json.encode(bad)))
    export(measured_dir, None, charts=False, formats=tuple(Format))
    folder = measured_dir / "reports"
    page = (folder / "report.html").read_text()
    assert page.count("<script") == page.count("</script>") == 2  # the data of the page, and its own script
    assert "<img" not in page
    # the document in two tables, the error of two groups of failed jobs and of five of these jobs
    assert page.count("=cmd|&#34;&lt;script&gt;alert(1)&lt;/script&gt;![i](http://evil.example/i.png)") == 9
    assert r"\<script\>alert(1)\</script\>!\[i\](http://evil.example/i.png)" in _report(measured_dir)
    tex = (folder / "latex" / "setup.tex").read_text()
    assert r"\textbackslash{}input\{/etc/passwd\}\&" in tex
    assert "\\input{/etc" not in tex + (folder / "latex" / "tables" / "environment.tex").read_text()
    with (folder / "csv" / "environment.csv").open(newline="") as file:
        assert {row["Item"]: row["Value"] for row in csv.DictReader(file)}["Document"].startswith("'=cmd|")
    assert {o["error"] for o in results_of(measured_dir)["outliers"]} == {None, bad}
    suites(measured_dir)


def test_the_setup_paragraph_has_the_facts_of_the_run(outages_dir: Path) -> None:
    export(outages_dir, None, charts=False, formats=(Format.LATEX, Format.JSON))
    text = (outages_dir / "reports" / "latex" / "setup.tex").read_text()
    provenance = results_of(outages_dir)["provenance"]
    for part in (
        *("2 cores", "Made CPU", "8 GiB", "aiohttp 3.13, uvloop 0.22", "uncommitted", "1 s", "Clopper and Pearson"),
        provenance["environment"]["python"],
        f"seed {provenance['seed']} ",
        r"outage of llm at 100 \% of the calls in llm\_outage",
    ):
        assert part in text, part
    assert text.replace(r"\allowbreak{}", "").count(provenance["plan_sha256"]) == 1
    main = (outages_dir / "reports" / "latex" / "reelbench.tex").read_text()
    inputs = re.findall(r"\\input\{([^}]*)\}", main)
    assert {f"{name}.tex" for name in inputs} | {"reelbench.tex"} == set(contents(outages_dir / "reports" / "latex"))


def test_a_table_in_latex_is_a_booktabs_table_with_caption_and_label(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False, formats=(Format.LATEX,))
    lines = (measured_dir / "reports" / "latex" / "tables" / "performance_response_time.tex").read_text().splitlines()
    assert lines[:7] == [
        r"\begin{table}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        lines[2],
        r"\label{tab:performance_response_time}",
        lines[4],
        r"\toprule",
        (
            r"Scenario / case & n & Failed & Min {[}s{]} & Avg {[}s{]} & 95 \% CI of avg {[}s{]} & Max {[}s{]} & "
            r"Stddev {[}s{]} & P50 {[}s{]} & P95 {[}s{]} & P99 {[}s{]} & Steady part \\"
        ),
    ]
    assert lines[2].startswith(r"\caption{Response time. ")
    assert (
        r"single\_request / n01 & 100 & 0 & 0.331 & 0.621 & 0.592 to 0.650 & 1.159 & 0.146 & 0.606 & 0.903 "
        r"& 1.021{*} & - \\" in lines
    )
    assert lines[4].startswith(r"\begin{tabular}{>{\raggedright\arraybackslash}p{")  # only the widest column is broken
    assert lines[4].endswith("rrrrrrrrrrr}")
    assert lines[-3:] == [r"\bottomrule", r"\end{tabular}", r"\end{table}"]


def test_all_tables_in_latex_have_one_size_and_stand_in_order(measured_dir: Path) -> None:
    export(measured_dir, None, charts=False, formats=(Format.LATEX,))
    folder = measured_dir / "reports" / "latex"
    texts = {path.stem: path.read_text() for path in (folder / "tables").glob("*.tex")}
    assert len(texts) >= 10
    for name, text in texts.items():
        assert text.count(r"\scriptsize") == 1, name
        assert not re.search(r"\\(tiny|small|footnotesize|resizebox)\b", text), name
        assert ("[H]" in text) is False, "a paper places the table itself"
    main = (folder / "reelbench.tex").read_text()
    assert r"\floatplacement{table}{H}" in main  # in this document a table stands where it is named
    assert set(re.findall(r"\\input\{tables/([^}]*)\}", main)) == set(texts)


def test_a_table_too_wide_for_a_page_breaks_its_cells_and_then_stands_on_its_side() -> None:
    def table(columns: int, words: str) -> str:
        names = tuple(f"c{number}" for number in range(columns))
        report = Report("a_report", "A", (Section("S", (Table(names, ((words,) * columns,), names[1:]),)),))
        return latex.render((report,), charts=False, title="T", main="m.tex")["tables/a_s.tex"]

    narrow, broken, turned = table(3, "one two"), table(4, "one two three " * 5), table(12, "indivisibleword")
    assert r"\begin{tabular}{lrr}" in narrow
    assert broken.count(r"\raggedleft") == 3
    assert r"\begin{landscape}" not in narrow + broken
    assert turned.startswith(r"\begin{landscape}")
    assert r"\begin{longtable}" in turned


@pytest.mark.extended
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (texlive-latex-recommended)")
def test_the_document_compiles_with_hostile_text(outages_dir: Path) -> None:
    bad = "\\\\ [x] {% & # _ ^ ~ $ \" ' ` < > | * -- \u00e9 \u4e2d \u20ac \U0001f600 \x07"
    change(outages_dir, lambda data: data["document"].update(name=bad))
    export(outages_dir, None, formats=(Format.LATEX,))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "reelbench.tex"],
        cwd=outages_dir / "reports" / "latex",
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def _report(folder: Path) -> str:
    return report_text(folder, "performance")
