"""The operations of the API: how fast each of them answers."""

from __future__ import annotations

from reelbench.reporting.document import text
from reelbench.reporting.document.report import Section, Table
from reelbench.reporting.evidence.evidence import Evidence
from reelbench.reporting.sections.common import not_run
from reelbench.reporting.statistics.intervals import summarize

SCENARIO = "api_latency"


def section(evidence: Evidence) -> Section:
    """What each operation of the API costs its client."""
    scenario = evidence.scenario(SCENARIO)
    if scenario is None:
        return Section("API latency by operation", not_run(SCENARIO))
    rows = []
    for operation, prefix in [
        *((member, "api_latency") for member in ("create", "retrieve", "list", "content", "manifest", "delete")),
        ("wait", "wait_latency"),
    ]:
        exact = summarize(evidence.durations(SCENARIO, operation))
        p95 = evidence.measured(f"{prefix}_p95", SCENARIO, member=operation)
        if exact is None and (p95 is None or p95.value is None):
            continue
        rows.append(
            (
                f"{operation} (long poll, not judged)" if operation == "wait" else operation,
                text.count(exact.n if exact else 0),
                text.milliseconds(evidence.value(f"{prefix}_avg", SCENARIO, member=operation)),
                text.milliseconds(exact.average if exact else None),
                text.milliseconds(p95.value if p95 else None),
                text.bucket(p95.bound if p95 else None, "ms"),
                text.milliseconds(exact.p95.value if exact else None),
                text.relative(p95.value if p95 else None, exact.p95.value if exact else None),
                text.interval(exact.p95.interval, "ms") if exact else text.NONE,
                text.milliseconds(exact.maximum if exact else None),
            )
        )
    columns = (
        "Operation", "n", "Avg PromQL", "Avg exact", "P95 PromQL", "Bucket", "P95 exact", "Difference %",
        "95 % CI of P95", "Max",
    )  # fmt: skip
    caption = (
        "Milliseconds as the client sees them. The long poll lasts until the job is done, so it is the service's work "
        "and no latency of the API."
    )
    return Section("API latency by operation", (Table(columns, tuple(rows), columns[1:8] + columns[9:], caption),))
