"""The key metrics of the resources of a server that is not ours."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord, ScenarioRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name
from reelbench.reporting.sections.resources.server import places
from reelbench.reporting.sections.resources.server_energy import one_gpu, price_of


def items(evidence: Evidence) -> list[str]:
    """Return GPU time, cost, energy, CPU and memory of a video in the case that made most videos per second."""
    if evidence.server is None:
        return ["The server shows no metrics to this run, so its memory, CPU and GPUs are not known."]
    best = fastest(evidence)
    if best is None:
        return []
    scenario, case, done = best
    where = f"{place_name(scenario.name, case.name)}, n = {text.counted(done, 'video')}"
    found = [
        *_gpu_time(evidence, case, done, where),
        *_energy(evidence, scenario, case, done, where),
        *_gpu(evidence, scenario, case),
        *_process(evidence, scenario, case, done, where),
    ]
    return found or ["The server's metrics show nothing of its memory, its CPU or its GPUs."]


def fastest(evidence: Evidence) -> tuple[ScenarioRecord, CaseRecord, int] | None:
    """Return the case with most videos per second, and its videos."""
    known = []
    for scenario, case in places(evidence):
        done, length = figures.videos(evidence, scenario.name, case.name), case_seconds(case)
        if done and length:
            known.append((done / length, scenario, case, done))
    return max(known, key=lambda one: one[0])[1:] if known else None


def _gpu_time(evidence: Evidence, case: CaseRecord, done: int, where: str) -> list[str]:
    hours, price = figures.gpu_hours(evidence, case), price_of(evidence)
    if hours is None and price is not None:
        hours = one_gpu(evidence, case)
    if hours is None:
        return []
    money = evidence.prices.currency
    cost = (
        "" if price is None else f", **{text.money(hours * price / done)} {money}** at {price:g} {money} for a GPU hour"
    )
    seen = figures.gpus(evidence)
    number = "one GPU assumed" if seen is None else text.counted(seen, "GPU")
    return [f"GPU time per video: **{hours * figures.HOUR / done:.2f} s**{cost} ({number}, {where})."]


def _energy(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord, done: int, where: str) -> list[str]:
    found = figures.energy(evidence, scenario.name, case)
    if found is None:
        return []
    above = "" if found.above_idle is None else f", {found.above_idle / done:,.0f} J above idle"
    return [f"GPU energy per video: **{found.within / done:,.0f} J**{above} ({where})."]


def _gpu(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord) -> list[str]:
    used = figures.average_mean(evidence, ServerRole.GPU_UTILISATION, scenario.name, case.name)
    held = [one.most for one in figures.gauges(evidence, ServerRole.GPU_MEMORY, scenario.name, case.name) if one.most]
    name = place_name(scenario.name, case.name)
    found = [] if used is None else [f"GPU utilisation: **{used * 100:.1f} %** (mean, {name})."]
    return found + ([f"GPU memory: **{text.amount(max(held))}** at most on one GPU ({name})."] if held else [])


def _process(evidence: Evidence, scenario: ScenarioRecord, case: CaseRecord, done: int, where: str) -> list[str]:
    used = figures.cpu_seconds(evidence, scenario.name, case.name)
    memory = [
        one.most for one in figures.gauges(evidence, ServerRole.RESIDENT_MEMORY, scenario.name, case.name) if one.most
    ]
    found = [] if used is None else [f"CPU of the server per video: **{used[0] / done:.2f} s** ({where})."]
    return found + (
        [f"Resident memory of the server: **{text.amount(sum(memory))}** at most ({where})."] if memory else []
    )
