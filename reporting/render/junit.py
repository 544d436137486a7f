"""Verdicts as JUnit XML for CI: a test suite for each dimension, a test case for each objective and place."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from reelbench.loadgen.record.foreign_text import harmless
from reelbench.reporting.analysis.certainty import Certainty
from reelbench.reporting.analysis.verdicts import Status
from reelbench.reporting.document.text import with_unit
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.results import Dimension, Results, ResultValue

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""
_TOTALS = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""Attributes of a suite with the elements that they count."""


def render(results: Results) -> bytes:
    """Return the file. A violation, proven or not, is a failure; no verdict an error, or skipped where allowed."""
    root = ET.Element("testsuites", name=_clean(f"Reelbench {results.run_id}"))
    lengths = _lengths(results)
    root.extend(_suite(results, dimension, lengths.get(dimension.name, 0.0)) for dimension in results.dimensions)
    root.set("time", f"{sum(lengths.values()):.3f}")
    for total in ("tests", *_TOTALS):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode").encode() + b"\n"


def _lengths(results: Results) -> dict[str, float]:
    """Return the seconds of each dimension: they add up to the run, as a scenario lasts until the next one starts."""
    owner = {value.scenario: value.dimension for value in results.numbers if value.scenario}
    begun: dict[str, float] = {}
    for case in results.cases:
        if case.started is not None and case.scenario in owner:
            begun[case.scenario] = min(case.started, begun.get(case.scenario, case.started))
    ended = results.ended if results.ended is not None else max([results.started, *_ends(results)])
    order = sorted(begun, key=lambda name: begun[name])
    starts = [results.started, *(begun[name] for name in order[1:])]
    names = [owner[name] for name in order] or [one.name for one in results.dimensions[:1]]
    lengths = dict.fromkeys((one.name for one in results.dimensions), 0.0)
    for name, start, end in zip(names, starts, (*starts[1:], ended), strict=True):
        lengths[name] = lengths.get(name, 0.0) + max(0.0, end - start)
    return lengths


def _ends(results: Results) -> list[float]:
    return [case.ended for case in results.cases if case.ended is not None]


def _suite(results: Results, dimension: Dimension, length: float) -> ET.Element:
    judged = [n for n in results.numbers if n.verdict is not None and n.dimension == dimension.name]
    suite = ET.Element("testsuite", name=dimension.name)
    properties = ET.SubElement(suite, "properties")
    counted = ((one, sum(1 for value in judged if value.certainty is one)) for one in Certainty)
    for name, value in (
        ("run_id", results.run_id),
        ("profile", results.profile),
        ("seed", results.provenance.seed),
        ("plan_sha256", results.provenance.plan_sha256),
        ("verdict", dimension.verdict),
        *((str(one), number) for one, number in counted),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(str(value)))
    cases = [_objective(value) for value in judged]
    rest = length
    for case, seconds in zip(cases, _seconds(results, judged), strict=True):
        case.set("time", f"{seconds:.3f}")
        rest -= seconds
    cases.append(_trust(dimension, max(0.0, rest), judged=bool(judged)))
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for total, kind in _TOTALS.items():
        suite.set(total, str(sum(case.find(kind) is not None for case in cases)))
    suite.set("time", f"{length:.3f}")
    suite.set("timestamp", datetime.fromtimestamp(results.started, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    return suite


def _seconds(results: Results, judged: Sequence[ResultValue]) -> Iterator[float]:
    """Yield the seconds of each objective: a case of the load counts once, with its first objective."""
    left = {
        (case.scenario, case.case): case.ended - case.started
        for case in results.cases
        if case.started is not None and case.ended is not None
    }
    for value in judged:
        mine = [place for place in left if place[0] == value.scenario and value.case in {"", place[1]}]
        yield sum(left.pop(place) for place in mine)


def _objective(value: ResultValue) -> ET.Element:
    place = place_name(value.scenario, value.case, value.member)
    case = _case(value.dimension, value.scenario, f"{value.title}: {place}")
    message = _message(value)
    if value.tolerated:
        ET.SubElement(case, "skipped", message=message)
    elif value.verdict is Status.PASS:
        ET.SubElement(case, "system-out").text = message
    else:
        violated = value.certainty is not None and not value.certainty.holds and value.verdict is not Status.INVALID
        kind = "failure" if value.verdict is Status.FAIL or violated else "error"
        problem = ET.SubElement(case, kind, message=message, type=value.verdict or "")
        problem.text = _clean("\n".join(filter(None, (value.query, value.grafana))))
    return case


def _message(value: ResultValue) -> str:
    assert value.objective is not None, "only objectives have a verdict"
    sign = "≤" if value.objective.direction == "at_most" else "≥"
    found = (
        f"{'≥ ' if value.at_least else ''}{with_unit(value.value, value.unit)}"
        if value.value is not None
        else "no data"
    )
    sure = f", {value.certainty}" if value.certainty else ""
    why = value.reason or value.no_data
    return _clean(
        f"{value.verdict}{sure}: value {found}, objective {sign} {with_unit(value.objective.value, value.unit)}, "
        f"n = {value.n if value.n is not None else 'unknown'}{f' ({why})' if why else ''}"
    )


def _trust(dimension: Dimension, seconds: float, *, judged: bool) -> ET.Element:
    """A test case that fails when the values cannot be trusted: such a run must not pass.

    Its time is that of the pauses and of the cases without an objective.
    """
    problems = dimension.problems or (() if judged else ("no objective has a verdict",))
    case = _case(dimension.name, "trust", "Counts agree and the load generator kept up")
    case.set("time", f"{seconds:.3f}")
    if problems:
        error = ET.SubElement(case, "error", message=_clean(problems[0]), type=dimension.verdict)
        error.text = _clean("\n".join(problems))
    return case


def _case(dimension: str, scenario: str, name: str) -> ET.Element:
    classname = _clean(f"reelbench.{dimension}.{scenario or 'run'}")
    return ET.Element("testcase", classname=classname, name=_clean(name))


def _clean(text: str) -> str:
    return harmless(_UNWRITABLE.sub("\ufffd", text))
