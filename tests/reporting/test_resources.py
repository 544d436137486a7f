from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reelbench.loadgen.record.conditions import ConditionsRecord, MachineRecord, write_conditions
from reelbench.loadgen.record.run import RunRecord, read_run, write_run
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.catalogue.prices import PRICES_FILE, PricesError
from reelbench.reporting.catalogue.sli_file import CatalogueError, load
from reelbench.reporting.evidence import measurements as measured
from reelbench.reporting.evidence.measurements import SampleSeries
from reelbench.reporting.evidence.process_samples import ProcessSamples, total
from reelbench.reporting.evidence.prometheus import QueryError, connect
from reelbench.reporting.export import Exported, export
from tests.commands import invoke
from tests.report_text import report_text
from tests.reporting.test_reliability import tables

CORES = 2


def exported(folder: Path) -> tuple[Exported, str]:
    done = export(folder, None, charts=False)
    return done, report_text(folder, "resources")


def change_series(folder: Path, edit: Callable[[SampleSeries], SampleSeries | None]) -> None:
    kept = measured.read(folder)
    assert kept is not None
    series = tuple(found for s in kept.series if (found := edit(s)) is not None)
    measured.write(folder, msgspec.structs.replace(kept, series=series))


def change_run(folder: Path, edit: Callable[[RunRecord], RunRecord]) -> None:
    write_run(folder, edit(read_run(folder)))


def verdicts(done: Exported) -> dict[str, tuple[Status, float | None, int | None]]:
    return {v.sli.id: (v.status, v.value, v.n) for v in done.verdicts}


def test_every_objective_is_judged_by_its_known_value(resources_dir: Path) -> None:
    done, _ = exported(resources_dir)
    found = verdicts(done)
    assert found.pop("memory_growth") == (Status.FAIL, pytest.approx(169.25 / 150.75 - 1), 40)
    assert found.pop("memory_leaked") == (Status.FAIL, pytest.approx(500e6), 40)
    assert found.pop("cpu_utilisation") == (Status.PASS, pytest.approx(0.41), 20)
    assert found == {
        "memory_per_job": (Status.PASS, 12e6, 25),
        "cache_hit_rate": (Status.PASS, 0.75, 440),
    }
    assert (done.status, done.exit_code) == (Status.FAIL, 1)


def test_the_key_metrics_are_those_of_the_made_run(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    block = text.split("## Key metrics\n")[1].split("\n## ")[0]
    assert "Memory per job: **12 MB** (peak minus before, one job at a time, n = 25;" in block
    assert (
        "CPU per job: **0.400 s** (service and media workers, above idle, one at a time, n = 25 jobs; 95 % CI in s: "
    ) in block
    assert "Bytes per job: **273.5 kB** (all peers, both directions, n = 20 jobs)." in block
    assert "Cache hit rate: **75.0 %** (330 of 440; fixed by the plan, so without an interval)." in block
    assert (
        "Cost per 1,000 jobs: **70.85 USD** (marginal, list prices, single_job / n01, n = 25 completed jobs)." in block
    )
    assert "**100.0 ms faster** than those without it (9.1 %): 1.000 s (n = 20) against 1.100 s (n = 20)" in block


def test_memory_is_read_before_during_and_after_a_case(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    (rows,) = tables(text, "Memory")
    assert rows["idle_baseline / idle"] == [
        "service + media workers", "8", "150.0", "150.0", "150.0", "-", "0.0", "-", "scrapes",
    ]  # fmt: skip
    assert rows["single_job / n01"] == [
        "service + media workers", "25", "150.0", "162.0", "162.0", "150.0", "12.0", "12.00", "scrapes",
    ]  # fmt: skip
    assert rows["memory_leak / n01"][:7] == [
        "service + media workers", "40", "150.0", "160.0", "170.0", "170.0", "20.0",
    ]  # fmt: skip
    assert not any(
        name.startswith(("cache_efficiency", "network_bandwidth")) for name in rows
    )  # no cooldown around them
    assert "all of it was released after the cooldown" in text


def test_cpu_time_is_the_difference_of_the_samples_around_a_case(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    rows, estimates = tables(text, "CPU")
    assert rows["single_job / n01"] == [
        "1", "25", "25.0", "7.89", "2.63", "-", "-", "420.8", "400.0", "21.0",
    ]  # fmt: skip
    assert rows["resource_scaling / n10"][-2:] == ["120.0", "61.0"]
    assert rows["idle_baseline / idle"][-1] == "1.0"
    assert "**41.0 %** of 2 cores (95 % CI 38.7 to 43.3 %, n = 20 blocks)" in text
    assert estimates["resource_scaling / n10"][:5] == ["120.0", "120.0 to 120.0", "61.0", "56.5 to 65.5", "10"]


def test_a_disturbed_case_shows_no_effect_of_pooling(resources_dir: Path) -> None:
    others = "other processes took 62 % of the CPU, more than 25 %"
    busy = MachineRecord(
        scenario="connection_pooling", case="unpooled", seconds=10.0, cpus=2, run=0.3, others=0.62, steal=0.0, idle=0.0
    )
    write_conditions(resources_dir, ConditionsRecord(others_limit=0.25, machine=(busy,)))
    _, text = exported(resources_dir)
    sentence = text.split("- Pooling: ")[1].splitlines()[0]
    assert sentence.startswith(
        "**Not judged**, jobs with it against those without it: 1.000 s (n = 20) against 1.100 s"
    )
    assert sentence.endswith(f"A case was disturbed: {others}.")
    assert "Keep connection pooling" not in text
    assert [cells[-1] for cells in tables(text, "Optimizations and baselines")[0].values()][
        -1
    ] == f"not judged: {others}"


def test_bytes_of_a_job_by_dependency_and_direction(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    detail, cases = tables(text, "Network bandwidth")
    assert detail == {
        "LLM": ["16.00", "2.00", "0.72"],
        "TTS": ["1.50", "80.00", "3.26"],
        "Image": ["2.00", "12.00", "0.56"],
        "Store": ["6.00", "0.50", "0.26"],
        "Client": ["30.00", "123.46", "6.14"],
    }
    assert cases["cache_efficiency / warm"] == ["20", "0.00", "0.00", "0.00", "6.50", "123.46", "30.00", "159.96"]
    assert "A job moves **273.5 kB** (n = 20 jobs), of which 49.5 kB are egress" in text
    assert "The case moved 10.94 Mbit/s with 5 jobs in flight." in text


def test_connections_are_counted_at_provider_and_client(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    section = text.split("## Connection pooling\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "| tts" in line]
    assert rows == [
        ["pooled", "tts", "100", "5", "20.0", "0", "100", "-"],
        ["unpooled", "tts", "100", "100", "1.0", "100", "0", "-"],
    ]
    assert "**11 connections for 220 calls** with pooling, 220 for 220 without" in section
    assert "The client opened 0 of them with pooling, 220 without" in section
    assert "95 % CI of the difference -106.6 to -93.4 ms, corrected p < 0.001; one ordered pair" in section


def test_cache_hits_are_shown_with_the_saved_calls(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    section = text.split("## Cache efficiency\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "| audio" in line]
    assert rows == [
        ["cold", "audio", "100", "0", "0", "100", "0.0", "100", "0"],
        ["warm", "audio", "100", "100", "0", "0", "100.0", "0", "100"],
        ["half_new", "audio", "100", "50", "0", "50", "50.0", "50", "50"],
    ]
    savings = tables(text, "Cache efficiency")[1]
    assert savings["warm"] == ["20", "0.400", "0.410*", "11.0", "2.200", "0.00", "0.07084", "100.0"]
    assert savings["half_new"][-3:] == ["0.03542", "0.03542", "50.0"]
    assert "Jobs with known prompts complete **600.0 ms faster** than those of `cold` (60.0 %)" in section


def test_the_cost_table_has_a_line_for_each_resource(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    lines, cases, prices = tables(text, "Infrastructure cost")
    assert [(name, row[0], row[4]) for name, row in lines.items()] == [
        ("CPU", "0.0001111", "0.003512"),
        ("Memory", "3.104e-06", "0.000013"),
        ("Egress", "4.95e-05", "0.005940"),
        ("LLM input", "4,000", "0.6000"),
        ("LLM output", "400", "0.2400"),
        ("Speech", "1,000", "15.00"),
        ("Pictures", "5", "55.00"),
    ]
    # two cores and 8 GiB less one core and one GiB, for a second: (2 x 0.031611 + 8 x 0.004237 - 0.035848) / 3.6
    assert cases["single_job / n01"] == [
        "25", "0.003525", "0.005940", "70.84", "70.85", "0.009958", "0.01702", "0.00", "0.6000",
    ]  # fmt: skip
    assert prices["Load"][:2] == ["100,000", "jobs/month"]
    # 100,000 jobs at 0.07084594 and one instance of one core and one GiB for 730 hours
    assert "**7,110.76 USD**: providers and egress 7,084.59, compute of 1 instance 26.17" in text
    assert "best throughput of one instance in this report: 10.00 jobs/s" in text


def test_the_cost_of_failed_jobs_is_charged_to_completed_jobs(resources_dir: Path) -> None:
    lines = (resources_dir / "jobs.jsonl").read_text().splitlines()
    place = '"scenario":"single_job","case":"n01","index":{},'
    failing = tuple(place.format(i) for i in range(5))
    changed = [
        line.replace('"outcome":"completed"', '"outcome":"failed"') if any(f in line for f in failing) else line
        for line in lines
    ]
    (resources_dir / "jobs.jsonl").write_text("\n".join(changed) + "\n")
    _, text = exported(resources_dir)
    assert "(marginal, single_job / n01, n = 20 completed of 25 jobs)" in text
    cases = tables(text, "Infrastructure cost")[1]["single_job / n01"]
    assert (cases[4], cases[7]) == ("88.56", "17.71")  # 70.85 x 25 / 20, and a fifth of it


def test_another_price_list_changes_only_the_cost(resources_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES_FILE.read_text().replace("currency: USD", "currency: EUR").replace("0.011", "0.022"))
    export(resources_dir, None, charts=False, prices=path)
    text = report_text(resources_dir, "resources")
    assert "1,000 jobs **125.85 EUR** (marginal" in text
    assert "**87 % of the cost of a job: Pictures:**" in text


def test_an_invalid_price_list_writes_nothing(resources: object, run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES_FILE.read_text().replace("value: 15.0", "value: -15.0").replace("GiB-hour", "GB-hour"))
    with pytest.raises(PricesError, match="write a number of 0 or more"):
        export(run_dir, None, charts=False, prices=path)
    assert not (run_dir / "reports").exists()
    assert not (run_dir / "measurements.json").exists()


def test_all_errors_of_a_price_list_are_reported(resources_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES_FILE.read_text().replace("value: 15.0", "value: -15.0").replace("GiB-hour", "GB-hour"))
    before = (resources_dir / "reports" / "resources_report.md").read_bytes()
    done = invoke("export_reports.py", str(resources_dir), "--kept", "--no-charts", "--prices", str(path))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {path}: prices: tts: value is -15.0; write a number of 0 or more",
        f"error: {path}: prices: memory: unit is 'GB-hour'; write 'GiB-hour'",
    ]
    assert (resources_dir / "reports" / "resources_report.md").read_bytes() == before


def test_a_leak_is_found_and_fluctuation_is_not_a_leak(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    assert ": **LEAK**." in text
    assert "slope 500 kB per job (Theil-Sen, 95 % CI 500 kB to 500 kB)" in text
    assert "**Memory leaks at least 500 MB per 1,000 jobs:**" in text

    def breathe(series: SampleSeries) -> SampleSeries:
        if (series.reading, series.scenario) != ("memory", "memory_leak"):
            return series
        values = tuple(100e6 + 1e6 * (i * 7 % 5) for i in range(len(series.values)))
        return msgspec.structs.replace(series, values=values)

    change_series(resources_dir, breathe)
    done, text = exported(resources_dir)
    assert verdicts(done)["memory_leaked"] == (Status.PASS, 0.0, 40)
    assert verdicts(done)["memory_growth"][0] is Status.PASS
    assert ": **NO LEAK**." in text
    assert (done.status, done.exit_code) == (Status.PASS, 0)


def test_an_interval_of_zero_says_why(resources_dir: Path) -> None:
    def settled(series: SampleSeries) -> SampleSeries:
        if (series.reading, series.scenario) != ("memory", "memory_leak"):
            return series
        return msgspec.structs.replace(
            series, values=tuple(100e6 + 4096 * (i == 20) for i in range(len(series.values)))
        )

    change_series(resources_dir, settled)
    _, text = exported(resources_dir)
    assert "slope 0 B per job (Theil-Sen, 95 % CI 0 B to 0 B, as many pairs of jobs have equal memory)" in text


def test_too_few_samples_excuse_what_holds_and_no_proven_leak(resources_dir: Path) -> None:
    def thin(series: SampleSeries) -> SampleSeries:
        return msgspec.structs.replace(series, times=series.times[::4], values=series.values[::4])

    change_series(resources_dir, thin)
    done, text = exported(resources_dir)
    assert verdicts(done)["memory_leaked"] == (Status.FAIL, pytest.approx(500e6), 10)
    assert ": **LEAK**." in text

    def breathe(series: SampleSeries) -> SampleSeries:
        if (series.reading, series.scenario) != ("memory", "memory_leak"):
            return series
        return msgspec.structs.replace(
            series, values=tuple(100e6 + 1e6 * (i * 7 % 5) for i in range(len(series.values)))
        )

    change_series(resources_dir, breathe)
    done, text = exported(resources_dir)
    assert verdicts(done)["memory_leaked"] == (Status.INCONCLUSIVE, 0.0, 10)
    assert "**INCONCLUSIVE**, n too small: 10 samples, needs 15." in text


def test_without_raw_samples_there_is_no_data_and_no_pass(resources_dir: Path) -> None:
    change_series(resources_dir, lambda series: None)
    done, text = exported(resources_dir)
    found = verdicts(done)
    assert {sli: status for sli, (status, _, _) in found.items()} == {
        "memory_per_job": Status.NO_DATA,
        "cpu_utilisation": Status.NO_DATA,
        "memory_growth": Status.NO_DATA,
        "memory_leaked": Status.NO_DATA,
        "cache_hit_rate": Status.PASS,
    }
    assert done.exit_code == 3
    (reason,) = [v.reason for v in done.verdicts if v.sli.id == "cpu_utilisation"]
    assert reason.startswith("no samples of CPU time around a case; set `rest` (now 1.1 s)")
    assert "Memory per job: no data." in text
    assert "No case has all that a cost needs" in text


def test_a_restarted_process_has_no_cpu_time(resources_dir: Path) -> None:
    def restart(series: SampleSeries) -> SampleSeries:
        if (series.reading, series.scenario, series.case) != ("cpu", "resource_scaling", "n10"):
            return series
        half = len(series.values) // 2
        return msgspec.structs.replace(series, values=(*series.values[:half], *[0.1] * (len(series.values) - half)))

    change_series(resources_dir, restart)
    done, _ = exported(resources_dir)
    assert verdicts(done)["cpu_utilisation"][0] is Status.NO_DATA


@pytest.mark.extended
def test_the_samples_are_kept_so_that_the_report_is_the_same_without_prometheus(
    measured_resources: Path, resources_dir: Path, prometheus_url: str
) -> None:
    export(resources_dir, None, charts=False)
    names = ("measurements.json", "reports/resources_report.md")
    kept = [(resources_dir / name).read_bytes() for name in names]
    assert kept == [(measured_resources / name).read_bytes() for name in names]
    (resources_dir / "measurements.json").unlink()
    export(resources_dir, prometheus_url, charts=False)
    assert kept == [(resources_dir / name).read_bytes() for name in names]


def test_raw_samples_have_their_own_times_and_stop_with_the_cooldown(measured_resources: Path) -> None:
    document = json.loads((measured_resources / "measurements.json").read_text())
    (series,) = [
        s
        for s in document["series"]
        if (s["reading"], s["scenario"], s["labels"].get("job")) == ("memory", "single_job", "service")
    ]
    run = read_run(measured_resources)
    (case,) = next(s for s in run.scenarios if s.name == "single_job").cases
    assert case.started is not None
    assert case.ended is not None
    assert series["instant"] == round(case.ended + 1.1, 3)
    assert series["query"] == 'process_memory_usage_bytes{job=~"service|providers|loadgen"}[36100ms]'
    offsets = [at - case.started for at in series["times"]]
    assert offsets == [second - 10 + 0.5 for second in range(36)]
    assert series["labels"] == {"instance": "a", "job": "service"}


def test_a_range_query_must_be_a_selector(prometheus_url: str) -> None:
    prometheus = connect(prometheus_url)
    with pytest.raises(QueryError, match="no range vector"):
        prometheus.matrix("vector(1)", 1_790_000_100)
    prometheus.close()


def test_missing_cases_are_reported(resources_dir: Path) -> None:
    change_run(resources_dir, lambda run: msgspec.structs.replace(run, scenarios=run.scenarios[:1]))
    done, text = exported(resources_dir)
    assert done.verdicts == ()
    for title in ("CPU", "Connection pooling", "Cache efficiency", "Memory leak", "Infrastructure cost"):
        section = text.split(f"\n## {title}\n")[1].split("\n## ")[0].strip()
        assert section.startswith("No ")
    assert "Cost per 1,000 jobs: no data." in text


def test_toggles_of_a_case_are_in_the_workload_table(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    section = text.split(": Workload\n")[1].split("\n## ")[0]
    assert "| idle " in section
    assert "closed, 5 in flight, cache off, pooling off" in section
    assert "closed, 5 in flight, prompts repeated" in section


def test_every_raw_sample_query_is_in_the_appendix(resources_dir: Path) -> None:
    _, text = exported(resources_dir)
    kept = measured.read(resources_dir)
    assert kept is not None
    appendix = text.split("## Resources: Raw samples\n")[1].replace(r"\|", "|")
    assert kept.series
    assert all(f"`{series.query}`" in appendix for series in kept.series)


def series(times: list[float], values: list[float]) -> SampleSeries:
    return SampleSeries(
        reading="memory",
        scenario="s",
        case="c",
        labels={},
        query="x{}[1s]",
        instant=9.0,
        times=tuple(times),
        values=tuple(values),
    )


def test_series_are_summed_from_the_time_all_have_a_sample() -> None:
    assert total([series([1, 2], [10, 20]), series([1, 2], [1, 2])]) == ((1, 11), (2, 22))

    assert total([series([1, 2, 3], [10, 20, 30]), series([1.5, 2.5], [1, 2])]) == (
        (1.5, 11), (2, 21), (2.5, 22), (3, 32),
    )  # fmt: skip


def test_samples_are_assigned_by_start_and_end_of_the_case() -> None:
    found = ProcessSamples(2.0, 4.0, ((1.0, 1.0), (1.9, 2.0), (2.5, 3.0), (3.5, 4.0), (4.1, 5.0), (5.0, 6.0)))
    assert (found.before, found.after, found.last) == ((1.9, 2.0), (4.1, 5.0), (5.0, 6.0))
    assert found.within == ((2.5, 3.0), (3.5, 4.0))
    assert ProcessSamples(2.0, 4.0, ((2.5, 3.0),)).last is None


def test_all_errors_of_a_gauge_query_are_named(tmp_path: Path) -> None:
    path = tmp_path / "slis.yaml"
    path.write_text(
        "version: 1\nslis: []\nreadings:\n"
        "  - {id: a, title: A, unit: By, dimension: resources, selector: 'sum(x{})', why: w}\n"
        "  - {id: b, title: B, unit: By, dimension: resources, selector: 'x{}', why: w}\n"
        "  - {id: b, title: B, unit: By, dimension: resources, selector: 'x{}', why: w}\n"
        "  - {id: c, title: C, unit: By, dimension: every, selector: 'x{}', why: w}\n"
    )
    with pytest.raises(CatalogueError) as caught:
        load(path)
    assert [error.removeprefix(f"{path}: ") for error in caught.value.errors] == [
        "reading b: duplicate id; give each its own",
        "reading a: selector must be a metric with a selector in braces and nothing more",
        "reading c: dimension is 'every'; write performance or reliability or resources",
    ]


def test_without_a_call_log_no_savings_are_reported(resources_dir: Path) -> None:
    (resources_dir / "calls.jsonl").unlink()
    _, text = exported(resources_dir)
    rates, pooled = (
        text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0] for title in ("Cache efficiency", "Connection pooling")
    )
    rows = [line.split("|") for line in rates.splitlines() if line.startswith("| cold ") and "script" in line]
    assert [[cell.strip() for cell in row[8:10]] for row in rows] == [["-", "-"]]
    calls = [
        line.split("|")[3].strip() for line in pooled.splitlines() if line.startswith(("| pooled ", "| unpooled "))
    ]
    assert set(calls) == {"-"}
