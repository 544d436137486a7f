"""Indicators over the own metrics of a server that is not ours.

The appendix of a report explains a function by the first line of its docstring.
"""

from __future__ import annotations

import math

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.analysis.leak import HORIZON
from reelbench.reporting.analysis.record_value import MAXIMUM, MAXIMUM_OPEN, SLOPE, RecordValue
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.evidence.evidence import Evidence, case_seconds
from reelbench.reporting.evidence.prometheus import NoData
from reelbench.reporting.statistics.intervals import Interval

UNSEEN = NoData("the server shows no metrics to this run; name their page with --metrics")
NO_VIDEO = NoData("no job was completed")


def server_memory_growth(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Resident memory after a case over that before it, both without load, less 1: the greatest; n is samples."""
    if evidence.server is None:
        return UNSEEN
    found = _growths(evidence, scenario)
    if not found:
        return NoData("no case with jobs has samples of resident memory before and after it")
    most = max(found, key=lambda one: one.share)
    return RecordValue(most.share, most.n, Interval(most.share, None), MAXIMUM, MAXIMUM_OPEN)


def server_memory_leaked(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Lower limit of the slope of resident memory by job over 1,000 jobs, 0 without a trend; n is samples."""
    found = [one for one in _growths(evidence, scenario) if one.trend is not None]
    if not found:
        return NoData("no case with jobs has enough samples of resident memory")
    longest = max(found, key=lambda one: one.jobs)
    assert longest.trend is not None
    lower = max(longest.trend.interval.lower or 0.0, 0.0) if longest.trend.significant else 0.0
    upper = longest.trend.interval.upper
    limits = Interval(lower * HORIZON, None if upper is None else max(upper, lower) * HORIZON)
    return RecordValue(lower * HORIZON, longest.n, limits, SLOPE)


def server_cpu_per_video(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """CPU time of the server's processes through the cases with jobs by completed jobs; n is jobs."""
    cases = _cases(evidence, scenario)
    found = [figures.cpu_seconds(evidence, scenario, case.name) for case in cases]
    done = sum(figures.videos(evidence, scenario, case.name) for case in cases)
    if not done:
        return NO_VIDEO
    if any(one is None for one in found):
        return NoData("CPU time is not known in every case: no samples around it, or a restart")
    return RecordValue(math.fsum(one[0] for one in found if one) / done, done)


def server_gpu_utilisation(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Mean utilisation of all GPUs through the cases, by their length; n is samples."""
    shares, n = [], 0
    for case in _cases(evidence, scenario, idle=True):
        mean = figures.average_mean(evidence, ServerRole.GPU_UTILISATION, scenario, case.name)
        length = case_seconds(case)
        if mean is not None and length:
            shares.append((mean, length))
            n += max(one.n for one in figures.gauges(evidence, ServerRole.GPU_UTILISATION, scenario, case.name))
    if not shares:
        return NoData("no samples of GPU utilisation within a case")
    return RecordValue(math.fsum(a * b for a, b in shares) / math.fsum(b for _, b in shares), n)


def server_gpu_errors(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """GPUs whose last XID error changed within a case to another code than 0; n is samples."""
    seen, n = set(), 0
    for case in _cases(evidence, scenario, idle=True):
        for one in figures.gauges(evidence, ServerRole.GPU_ERRORS, scenario, case.name):
            n += one.n
            if figures.new_errors(one):
                seen.add((one.source, tuple(sorted(one.labels.items()))))
    return RecordValue(len(seen), n) if n else NoData("no samples of XID errors within a case")


def server_energy_per_video(evidence: Evidence, scenario: str) -> RecordValue | NoData:
    """Energy of all GPUs through the cases with jobs by completed jobs, with what they use when idle; n is jobs."""
    cases = _cases(evidence, scenario)
    found = [figures.energy(evidence, scenario, case) for case in cases]
    done = sum(figures.videos(evidence, scenario, case.name) for case in cases)
    if not done:
        return NO_VIDEO
    if any(one is None for one in found):
        return NoData("energy is not known in every case: no samples around it, or a restart")
    return RecordValue(math.fsum(one.within for one in found if one) / done, done)


def _cases(evidence: Evidence, scenario: str, *, idle: bool = False) -> list[CaseRecord]:
    found = evidence.scenario(scenario)
    return [
        case
        for case in (found.cases if found else ())
        if case.started is not None and case.ended is not None and (idle or case.model != "idle")
    ]


def _growths(evidence: Evidence, scenario: str) -> list[figures.Growth]:
    found = (figures.memory_growth(evidence, scenario, case) for case in _cases(evidence, scenario))
    return [one for one in found if one is not None]
