"""Verdicts as JUnit XML, which every CI shows: a suite for each dimension, a case for each objective and place."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

from reelbench.reporting.document.text import with_unit
from reelbench.reporting.evidence.evidence import place_name
from reelbench.reporting.results.results import Dimension, Number, Results

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""
_KINDS = {"PASS": None, "FAIL": "failure"}


def render(results: Results) -> bytes:
    """The file; FAIL is a failure, what could not be judged an error, or skipped where the profile tolerates it."""
    root = ET.Element("testsuites", name=_clean(f"Reelbench {results.run_id}"))
    for dimension in results.dimensions:
        root.append(_suite(results, dimension))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode").encode() + b"\n"


def _suite(results: Results, dimension: Dimension) -> ET.Element:
    judged = [n for n in results.numbers if n.verdict is not None and n.dimension == dimension.name]
    suite = ET.Element("testsuite", name=dimension.name)
    begun = datetime.fromtimestamp(results.started, UTC)
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("run_id", results.run_id),
        ("profile", results.profile),
        ("seed", results.provenance.seed),
        ("plan_sha256", results.provenance.plan_sha256),
        ("verdict", dimension.verdict),
    ):
        ET.SubElement(properties, "property", name=name, value=_clean(str(value)))
    cases = [*(_objective(number) for number in judged), *_trust(dimension, judged=bool(judged))]
    suite.extend(cases)
    seconds = sum(float(case.get("time", "0")) for case in cases)
    for total, value in (
        ("tests", len(cases)),
        ("failures", _having(cases, "failure")),
        ("errors", _having(cases, "error")),
        ("skipped", _having(cases, "skipped")),
        ("time", f"{seconds:.3f}"),
        ("timestamp", begun.strftime("%Y-%m-%dT%H:%M:%S")),
    ):
        suite.set(total, str(value))
    return suite


def _objective(number: Number) -> ET.Element:
    place = place_name(number.scenario, number.case, number.member)
    length = number.ended - number.started if number.started is not None and number.ended is not None else 0.0
    case = _case(number.dimension, number.scenario, f"{number.title}: {place}", length)
    kind = "skipped" if number.tolerated else _KINDS.get(number.verdict or "", "error")
    message = _message(number)
    if kind is None:
        ET.SubElement(case, "system-out").text = message
        return case
    told = ET.SubElement(case, kind, message=message)
    if kind != "skipped":
        told.set("type", number.verdict or "")
        told.text = _clean("\n".join(filter(None, (number.query, number.grafana))))
    return case


def _message(number: Number) -> str:
    assert number.objective is not None, "only objectives have a verdict"
    sign = "<=" if number.objective.direction == "at_most" else ">="
    value = with_unit(number.value, number.unit) if number.value is not None else "no data"
    why = number.reason or number.no_data
    return _clean(
        f"{number.verdict}: value {value}, objective {sign} {with_unit(number.objective.value, number.unit)}, "
        f"n = {number.n if number.n is not None else 'unknown'}{f' ({why})' if why else ''}"
    )


def _trust(dimension: Dimension, *, judged: bool) -> list[ET.Element]:
    """Whether the numbers can be trusted at all: a run that fails for that alone must not look green."""
    problems = dimension.problems or (() if judged else ("no objective was judged",))
    case = _case(dimension.name, "trust", "Counts agree and the load generator kept up", 0.0)
    if problems:
        error = ET.SubElement(case, "error", message=_clean(problems[0]), type=dimension.verdict)
        error.text = _clean("\n".join(problems))
    return [case]


def _case(dimension: str, scenario: str, name: str, seconds: float) -> ET.Element:
    return ET.Element(
        "testcase",
        classname=_clean(f"reelbench.{dimension}.{scenario or 'run'}"),
        name=_clean(name),
        time=f"{seconds:.3f}",
    )


def _having(cases: list[ET.Element], kind: str) -> int:
    return sum(1 for case in cases if case.find(kind) is not None)


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
