"""Energy and cost of a server that is not ours, by its GPUs."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis import server_figures as figures
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Section, Table
from reelbench.reporting.document.tables import with_values
from reelbench.reporting.evidence.evidence import Evidence, place_name
from reelbench.reporting.sections.resources.server import places

LEAST_ERROR = 0.005
"""Share of the energy from which on the lag of a counter is said."""


def section(evidence: Evidence) -> Section | None:
    """Return energy, and cost by the price of GPU hours, per video and per second of video; None without either."""
    number = figures.gpus(evidence)
    price = price_of(evidence)
    if number is None and not (price is not None and evidence.foreign) and not _has_energy(evidence):
        return None
    rows = []
    for scenario, case in places(evidence):
        done = figures.videos(evidence, scenario.name, case.name)
        found = figures.energy(evidence, scenario.name, case)
        hours = figures.gpu_hours(evidence, case) or one_gpu(evidence, case)
        length = _seconds_of_video(evidence, scenario.name, case.name)
        cost = hours * price if hours is not None and price is not None else None
        if case.model == "idle" and found is None:
            continue
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(done),
                text.number(length[0] if length else None),
                text.number(found.within / found.length if found else None, 1),
                text.number(found.within if found else None, 0),
                text.number(found.above_idle if found else None, 0),
                text.number(found.within / done if found and done else None, 0),
                text.number(found.above_idle / done if found and done and found.above_idle is not None else None, 0),
                text.number(found.within / done / length[0] if found and done and length and length[0] else None, 0),
                text.number(hours * 3600 / done if hours is not None and done else None),
                text.money(cost / done if cost is not None and done else None),
                text.money(cost / done / length[0] if cost is not None and done and length and length[0] else None),
                text.money(cost * 1000 / done if cost is not None and done else None),
            )
        )
    money = evidence.prices.currency
    columns = (
        "Scenario / case", "Videos", "Length of a video [s]", "Power [W]", "Energy [J]", "Above idle [J]",
        "Per video [J]", "Per video above idle [J]", "Per second of video [J]", "GPU seconds per video",
        f"Cost per video [{money}]", f"Cost per second of video [{money}]", f"Per 1,000 videos [{money}]",
    )  # fmt: skip
    table = with_values(Table(columns, tuple(rows), columns[1:]))
    blocks: list[Block] = [Bullets(tuple(_basis(evidence, number, price))), table]
    return Section("Energy and cost", tuple(blocks))


def _basis(evidence: Evidence, number: int | None, price: float | None) -> list[str]:
    """Return what energy and cost are computed from, one sentence each."""
    found = [figures.energy(evidence, scenario.name, case) for scenario, case in places(evidence)]
    known = [one for one in found if one is not None]
    items = []
    if known and known[0].counted:
        items.append(
            "Energy is the difference of the GPUs' energy counters between the two samples around the case, "
            "without what they use when idle outside of the case."
            if known[0].idle_watts is not None
            else "Energy is the difference of the GPUs' energy counters between the two samples around the case: at "
            "most two scrape intervals more than the case, so an upper limit."
        )
        errors = [one.error / one.joules for one in known if one.error is not None and one.joules]
        if errors and max(errors) >= LEAST_ERROR:
            items.append(
                f"The counters stood still for a while between two renewals: an error of ≤ {max(errors) * 100:.1f} %."
            )
    elif known:
        items.append("Energy is mean power by the length of the case, as the metrics have no energy counter.")
    else:
        items.append("The metrics show neither energy nor power of a GPU, so energy is not known.")
    watts = next((one.idle_watts for one in known if one.idle_watts is not None), None)
    items.append(
        f"Idle, the GPUs use {watts:.1f} W; above idle is without that."
        if watts is not None
        else "There was no case without load (`idle_baseline`), so idle power is not known and not subtracted."
    )
    items.append(_gpu_sentence(evidence, number))
    items.append(
        f"Cost: {price:g} {evidence.prices.currency} for a GPU hour by the length of the case, idle or busy, over the "
        "completed jobs; CPU, memory, storage and network are not contained."
        if price is not None
        else "Cost is not known: give the price of a GPU hour (`--gpu-hour-price`, or `gpu` in the price list)."
    )
    return items


def _gpu_sentence(evidence: Evidence, number: int | None) -> str:
    if number is None:
        return "The metrics show no GPU, so **one** is assumed; say how many there are with `--gpus`."
    by_user = evidence.stack is not None and evidence.stack.gpus is not None
    return f"GPUs: **{number}** ({'as --gpus says' if by_user else 'seen in the metrics'})."


def one_gpu(evidence: Evidence, case: CaseRecord) -> float | None:
    """Return the hours of one GPU through a case, where their number is not known."""
    if figures.gpus(evidence) is not None or case.started is None or case.ended is None:
        return None
    return (case.ended - case.started) / figures.HOUR


def price_of(evidence: Evidence) -> float | None:
    """Return the price of a GPU hour: the user's, or that of the price list; None without one."""
    if evidence.stack is not None and evidence.stack.gpu_hour_price is not None:
        return evidence.stack.gpu_hour_price
    return evidence.prices.optional("gpu")


def _has_energy(evidence: Evidence) -> bool:
    return figures.has(evidence, ServerRole.GPU_ENERGY, ServerRole.GPU_POWER)


def _seconds_of_video(evidence: Evidence, scenario: str, case: str) -> tuple[float, int] | None:
    """Return the mean length of the decoded files of a case, and their number; None without any."""
    known = [
        video.seconds
        for video in evidence.videos
        if (video.scenario, video.case) == (scenario, case) and video.seconds is not None
    ]
    return (sum(known) / len(known), len(known)) if known else None
