"""Cost: per job, per 1,000 jobs, per month."""

from __future__ import annotations

from reelbench.loadgen.record.run import CaseRecord
from reelbench.reporting.analysis.cost import KINDS, PER, Bill, Loaded, Month, bill, loaded, month, reference
from reelbench.reporting.analysis.cpu_usage import job_seconds
from reelbench.reporting.document import text
from reelbench.reporting.document.report import Block, Bullets, Paragraph, Section, Table
from reelbench.reporting.evidence.dimension import Dimension
from reelbench.reporting.evidence.evidence import Evidence, case_seconds, place_name

NAMES = {
    "cpu": "CPU",
    "memory": "Memory",
    "egress": "Egress",
    "llm_input": "LLM input",
    "llm_output": "LLM output",
    "tts": "Speech",
    "image": "Pictures",
}


def section(evidence: Evidence) -> Section:
    """Return marginal and fully loaded cost."""
    title = "Infrastructure cost"
    found = reference(evidence)
    if found is None:
        sentence = "No case has all that a cost needs: bytes, CPU, memory and usage of completed jobs."
        return Section(title, (Paragraph(sentence), _list(evidence)))
    scenario, case, cost = found
    currency = evidence.prices.currency
    place = place_name(scenario, case.name)
    items = [
        (
            f"A completed job costs **{text.money(cost.each)} {currency}** at list prices, 1,000 jobs "
            f"**{text.money(cost.each * 1000)} {currency}** (marginal, {place}, n = {cost.completed} completed of "
            f"{cost.jobs} jobs)."
        ),
        (
            f"Jobs without a video account for {text.money(cost.failures)} {currency} of that. Retries add "
            f"{text.money(cost.retries)} {currency} per job where providers charge for failed attempts; the cost above "
            "counts successful answers only."
        ),
    ]
    held = loaded(evidence, scenario, case)
    if held is not None:
        variable = cost.of("egress", *KINDS)
        items.append(
            f"Fully loaded, one instance at the load of {place}: **{text.money(variable + held.workload)} "
            f"{currency}** per job: providers and egress {text.money(variable)}, compute {text.money(held.workload)} "
            f"(the larger of reserved and used), of which {text.money(held.unused)} was unused. The idle rest of the "
            f"machine costs {text.money(held.idle)} {currency} per job and is not included."
        )
        whole = _month(evidence, found, held)
        if whole is not None:
            items.append(_monthly(whole, currency))
    blocks: list[Block] = [Bullets(tuple(items)), _lines(evidence, place, cost), _cases(evidence), _list(evidence)]
    return Section(title, tuple(blocks))


def _month(evidence: Evidence, found: tuple[str, CaseRecord, Bill], held: Loaded) -> Month | None:
    scenario, case, cost = found
    used = job_seconds(evidence, scenario, case)
    rates = [
        len(evidence.response_times(s.name, c.name)) / seconds
        for s, c in evidence.cases(Dimension.RESOURCES)
        if (seconds := case_seconds(c)) and not c.switches and c.prompts == "unique"
    ]
    best = max(rates, default=0.0)
    return month(evidence, cost, held, used, best) if used is not None and best else None


def _monthly(whole: Month, currency: str) -> str:
    return (
        f"A month with {whole.jobs:,.0f} jobs, spread evenly: "
        f"**{text.money(whole.compute + whole.variable)} {currency}**: providers and egress "
        f"{text.money(whole.variable)}, compute of {whole.instances} instance{'s' if whole.instances > 1 else ''} "
        f"{text.money(whole.compute)} (best throughput of one instance in this report: {whole.capacity:.2f} jobs/s; "
        "no reserve for peaks)."
    )


def _lines(evidence: Evidence, place: str, cost: Bill) -> Table:
    prices = evidence.prices
    rows = tuple(
        (
            NAMES[charge.name],
            f"{charge.quantity * PER.get(charge.name, 1.0) / cost.completed:,.4g}",
            prices.prices[charge.name].unit.removeprefix("1M "),
            f"{prices.price(charge.name):g} / {prices.prices[charge.name].unit}",
            text.money(charge.cost / cost.completed),
            text.money(charge.cost / cost.completed * 1000),
            text.percent(charge.cost / cost.total if cost.total else None),
        )
        for charge in cost.charges
    )
    columns = (
        "ChargeDescription", "ConsumedQuantity / job", "ConsumedUnit", "ListUnitPrice", "ListCost / job",
        "ListCost / 1,000 jobs", "Share %",
    )  # fmt: skip
    caption = (
        f"{place}, n = {cost.completed} completed jobs, in {prices.currency}, column names after FOCUS: an estimate "
        "at list prices. CPU: service and media workers, above idle. Memory: peak minus before, for the length of the "
        "case. Totals of counters over the jobs, therefore without an interval."
    )
    return Table(columns, rows, (columns[1], *columns[4:]), caption)


def _cases(evidence: Evidence) -> Table:
    rows = []
    for scenario, case in evidence.cases(Dimension.RESOURCES):
        cost = bill(evidence, scenario.name, case)
        if cost is None:
            continue
        held = loaded(evidence, scenario.name, case)
        rows.append(
            (
                place_name(scenario.name, case.name),
                text.count(cost.completed),
                *(
                    text.money(each * 1000 if each is not None else None)
                    for each in (
                        cost.of("cpu", "memory"),
                        cost.of("egress"),
                        cost.of(*KINDS),
                        cost.each,
                        held.workload if held else None,
                        held.idle if held else None,
                        cost.failures,
                        cost.retries,
                    )
                ),
            )
        )
    columns = (
        "Scenario / case", "Completed", "CPU and memory", "Egress", "Providers", "Marginal", "Reserved compute", "Idle",
        "Failed jobs' share", "Retries if charged",
    )  # fmt: skip
    caption = (
        f"ListCost in {evidence.prices.currency} for 1,000 completed jobs. Reserved compute is max(request, usage) for "
        "the length of the case, idle the rest of the machine; both fall as the load grows, the marginal cost does not."
    )
    return Table(columns, tuple(rows), columns[1:], caption)


def _list(evidence: Evidence) -> Table:
    prices = evidence.prices
    entries = [(NAMES[name], p, prices.currency) for name, p in prices.prices.items()]
    assumed = {"cpu_request": "CPU request", "memory_request": "Memory request", "load": "Load"}
    entries += [(assumed[name], p, "") for name, p in prices.assumptions.items()]
    rows = tuple(
        (
            name,
            f"{price.value:,g}",
            f"{currency} / {price.unit}" if currency else price.unit,
            price.source,
            str(price.date),
        )
        for name, price, currency in entries
    )
    caption = "Use your own prices with `reelbench report --prices FILE`."
    return Table(("Price or assumption", "Value", "Unit", "Source", "Date"), rows, ("Value",), caption)
