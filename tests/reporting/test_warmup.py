from __future__ import annotations

import msgspec
import numpy as np

from reelbench.loadgen.record.jobs import Outcome
from reelbench.reporting.document.report import Paragraph, Table
from reelbench.reporting.sections.performance.load import warmup
from tests.reporting.evidence_of import evidence
from tests.reporting.made_run import MadeRun


def rows(made: MadeRun, **known: object) -> dict[str, tuple[str, ...]]:
    (table,) = warmup(evidence(made, **known)).blocks  # type: ignore[arg-type]
    assert isinstance(table, Table)
    return {row[0]: row[1:] for row in table.rows}


def test_figures_without_and_with_the_warm_up(made: MadeRun) -> None:
    scenario, case = "concurrent_load", "n10"
    jobs = [j for j in made.jobs if (j.scenario, j.case, j.outcome) == (scenario, case, "completed")]
    without = np.array([j.done - j.due for j in jobs if not j.warmup])
    both = np.array([j.done - j.due for j in jobs])
    found = rows(made)[f"{scenario} / {case}"]
    assert found[:5] == (
        "2",
        str(len(without)),
        f"{without.mean():.3f}",
        f"{both.mean():.3f}",
        f"{(both.mean() / without.mean() - 1) * 100:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0"),
    )
    assert found[5:] == (
        f"{np.quantile(without, 0.95, method='inverted_cdf'):.3f}",
        f"{np.quantile(both, 0.95, method='inverted_cdf'):.3f}",
        f"{without.max():.3f}",
        f"{both.max():.3f}",
    )


def test_slow_warm_up_jobs_are_visible(made: MadeRun) -> None:
    jobs = [msgspec.structs.replace(j, done=j.due + 30) if j.warmup else j for j in made.jobs]
    found = rows(made, jobs=jobs)["single_request / n01"]
    assert found[2] == "0.621"
    assert found[3] == f"{(62.1 + 60) / 102:.3f}"  # 100 jobs of 0.621 s and two of 30 s
    assert found[-2:] == ("1.159", "30.000")


def test_a_case_whose_warm_up_failed_is_left_out(made: MadeRun) -> None:
    jobs = [msgspec.structs.replace(j, outcome=Outcome.FAILED) if j.warmup else j for j in made.jobs]
    (block,) = warmup(evidence(made, jobs=jobs)).blocks
    assert isinstance(block, Paragraph)
