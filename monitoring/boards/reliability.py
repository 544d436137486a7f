"""How the service fails and recovers."""

from __future__ import annotations

from reelbench.monitoring.boards.objectives import objectives
from reelbench.monitoring.boards.parts import ask, board, chart, states
from reelbench.monitoring.burn_rate import ALERTS, budgets
from reelbench.monitoring.grafana import Dashboard, Mapping, Word
from reelbench.monitoring.layout import Group, Line
from reelbench.monitoring.promql import PLACE, gauge, observed, quantile, rate
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import RELIABILITY_UID

BREAKER = Mapping(
    options={
        "0": Word(text="closed", color="green", index=0),
        "1": Word(text="half open", color="yellow", index=1),
        "2": Word(text="open", color="red", index=2),
    }
)


def build(catalogue: Catalogue, _prices: Prices) -> Dashboard:
    """The dashboard, with the limits that the catalogue sets."""
    state = 'resilience_circuitbreaker_state{state="%s"}'
    breaker = f"max by (provider) (2 * {state % 'open'} or {state % 'half_open'} or 0 * {state % 'closed'})"
    call = "gen_ai_client_operation_duration_seconds"
    retries = rate("resilience_retry_calls_total", f'{PLACE},kind!="successful_without_retry"', by=("provider",))
    saved = rate("resilience_retry_calls_total", f'{PLACE},kind="successful_with_retry"', by=("provider",))
    attempts = rate("resilience_retry_attempts_total", by=("provider",))
    calls = rate("resilience_retry_calls_total", by=("provider",))
    breakers = Group(
        "Circuit breakers",
        [
            Line(7, [states("Breaker state", "The worst state of all replicas. Red bands are injected faults.",
                            [ask(breaker, "{{provider}}")], BREAKER)]),
            Line(
                8,
                [
                    chart("Rejected calls", "Attempts a second that an open breaker let not through.", "ops",
                          [ask(rate("resilience_circuitbreaker_not_permitted_calls_total", by=("provider",)),
                               "{{provider}}")]),
                    chart("Calls the breakers let through", "A second, by their end; ignored decide nothing.", "ops",
                          [ask(rate("resilience_circuitbreaker_calls_total", "", by=("provider", "kind")),
                               "{{provider}} {{kind}}")]),
                    chart("Changes of a breaker", "A second, by the state that was entered.", "ops",
                          [ask(rate("resilience_circuitbreaker_transitions_total", "", by=("provider", "to")),
                               "{{provider}} to {{to}}")]),
                ],
            ),
        ],
    )  # fmt: skip
    recovery = Group(
        "Retries",
        [
            Line(
                8,
                [
                    chart("Calls by kind", "Provider calls that ended, a second, with and without a retry.", "ops",
                          [ask(rate("resilience_retry_calls_total", by=("kind",)), "{{kind}}")], stack=True),
                    chart("Recovery rate", catalogue.get("recovery_rate").why, "percentunit",
                          [ask(f"({saved} or 0 * {retries}) / {retries}", "{{provider}}")],
                          limit=catalogue.get("recovery_rate").objective, top=1),
                    chart("Attempts per call", catalogue.get("retry_amplification").why, "none",
                          [ask(f"{attempts} / {calls}", "{{provider}}")]),
                    chart("Waits between attempts", catalogue.get("retry_backoff").why, "s",
                          [ask(rate("resilience_retry_backoff_seconds_total", by=("provider",)), "{{provider}}")]),
                ],
            ),
            Line(
                8,
                [
                    chart("P95 of a provider call", "Good and bad ones, as the service sees them.", "s",
                          [ask(quantile(0.95, call, "", by=("gen_ai_provider_name",)), "{{gen_ai_provider_name}}",
                               exemplar=True)], to_traces=True),
                    chart("Provider errors", "Calls that failed, a second, by type.", "ops",
                          [ask(observed(call, 'error_type!=""', by=("gen_ai_provider_name", "error_type")),
                               "{{gen_ai_provider_name}} {{error_type}}")]),
                    chart("What the mock providers answered", "A second, as they count it: injected faults by kind.",
                          "reqps", [ask(rate("provider_requests_total", "", by=("provider", "outcome")),
                                        "{{provider}} {{outcome}}")]),
                ],
            ),
        ],
    )  # fmt: skip
    jobs = Group(
        "Jobs",
        [
            Line(
                8,
                [
                    chart("Partial videos", catalogue.get("partial_share").why, "ops",
                          [ask(rate("video_jobs_total", f'{PLACE},outcome="partial"', by=("scenario",)),
                               "{{scenario}}")]),
                    chart("Failed and cancelled jobs", "A second.", "ops",
                          [ask(rate("video_jobs_total", f'{PLACE},outcome=~"failed|cancelled"', by=("outcome",)),
                               "{{outcome}}")]),
                    chart("Refused jobs", catalogue.get("jobs_rejected").why, "ops",
                          [ask(rate("video_jobs_rejected_total", by=("reason",)), "{{reason}}")]),
                    chart("Cancellation", catalogue.get("cancel_p95").why, "s",
                          [ask(quantile(q, "video_jobs_cancelled_duration_seconds"), f"P{q * 100:g}",
                               exemplar=True) for q in (0.5, 0.95)], to_traces=True),
                ],
            )
        ],
    )  # fmt: skip
    store = Group(
        "Job store",
        [
            Line(
                8,
                [
                    chart("States that wait for the store", "Jobs whose latest state the store does not have yet.",
                          "none", [ask(gauge("video_jobs_unsaved", PLACE), "waiting")]),
                    chart("Deferred and written back", "Job states a second; what was deferred must be written back.",
                          "ops", [ask(rate("video_store_deferred_total"), "deferred"),
                                  ask(rate("video_store_written_back_total"), "written back")]),
                    chart("P95 of a round trip to the store", "By operation.", "s",
                          [ask(quantile(0.95, "db_client_operation_duration_seconds", "", by=("db_operation_name",)),
                               "{{db_operation_name}}", exemplar=True)], to_traces=True),
                    chart("Jobs of lost instances", "Jobs a second that another instance ended.", "ops",
                          [ask(rate("video_jobs_lost_total", ""), "lost")]),
                ],
            )
        ],
    )  # fmt: skip
    return board(
        RELIABILITY_UID,
        "Reliability",
        "Retries, circuit breakers, partial and cancelled jobs, the job store, error budgets.",
        [*objectives(catalogue, "reliability"), breakers, recovery, jobs, store, *_burn(catalogue)],
    )


def _burn(catalogue: Catalogue) -> tuple[Group, ...]:
    """How fast the error budgets are used up; no group without any."""
    burning = tuple(budgets(catalogue))
    panels = [
        chart(
            f"Budget burn over {window}",
            "1 uses up the budget just in time; an alert fires at a factor of "
            f"{min(a.factor for a in ALERTS if window in {a.short, a.long}):g} or more.",
            "none",
            [ask(f"{budget.record(window)} / {budget.budget:g}", budget.title) for budget in burning],
        )
        for window in (("5m", "1h") if burning else ())
    ]
    return (Group("Error budgets", [Line(8, panels)]),) if panels else ()
