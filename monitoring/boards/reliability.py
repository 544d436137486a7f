"""How the service fails and recovers."""

from __future__ import annotations

from reelbench.monitoring.objectives import BURN_ALERTS, budgets, objective_groups
from reelbench.monitoring.panels import Board, Group, Kind, Line, Panel, Query
from reelbench.monitoring.promql import formula, gauge, observed, quantile, rate, select, share
from reelbench.reporting.catalogue.prices import Prices
from reelbench.reporting.catalogue.sli import Catalogue
from reelbench.reporting.document.grafana_links import RELIABILITY_UID

_CALLS, _CALL = "resilience_retry_calls_total", "gen_ai_client_operation_duration_seconds"
_BREAKER = "resilience_circuitbreaker"
_BY = ("provider",)
_STATE = formula(
    "max by (provider) (2 * $open or $half_open or 0 * $closed)",
    **{state: select(f"{_BREAKER}_state", f'state="{state}"') for state in ("open", "half_open", "closed")},
)
_RETRIED = rate(_CALLS, 'kind!="successful_without_retry"', by=_BY)

# fmt: off
_GROUPS = (
    Group("Circuit breakers", [
        Line(7, [
            Panel("Breaker state", "The worst state of all replicas. Red bands are injected faults.", "short",
                  [Query(_STATE, "{{provider}}")], kind=Kind.STATES,
                  words=(("closed", "green"), ("half open", "yellow"), ("open", "red"))),
        ]),
        Line(8, [
            Panel("Rejected calls", "Attempts per second rejected by an open breaker.", "ops",
                  [Query(rate(f"{_BREAKER}_not_permitted_calls_total", by=_BY), "{{provider}}")]),
            Panel("Permitted calls", "Attempts per second, by result; ignored attempts do not change the breaker.",
                  "ops", [Query(rate(f"{_BREAKER}_calls_total", by=("provider", "kind"), place=()),
                                "{{provider}} {{kind}}")]),
            Panel("Breaker transitions", "Transitions per second, by the new state.", "ops",
                  [Query(rate(f"{_BREAKER}_transitions_total", by=("provider", "to"), place=()),
                         "{{provider}} to {{to}}")]),
        ]),
    ]),
    Group("Retries", [
        Line(8, [
            Panel("Calls by kind", "Provider calls per second, with and without a retry.", "ops",
                  [Query(rate(_CALLS, by=("kind",)), "{{kind}}")], stacked=True),
            Panel("Recovery rate", "", "percentunit",
                  [Query(share(rate(_CALLS, 'kind="successful_with_retry"', by=_BY), _RETRIED), "{{provider}}")],
                  sli="recovery_rate", limit=True, top=1),
            Panel("Attempts per call", "", "none",
                  [Query(formula("$attempts / $calls", attempts=rate("resilience_retry_attempts_total", by=_BY),
                                 calls=rate(_CALLS, by=_BY)), "{{provider}}")], sli="retry_amplification"),
            Panel("Waits between attempts", "", "s",
                  [Query(rate("resilience_retry_backoff_seconds_total", by=_BY), "{{provider}}")],
                  sli="retry_backoff"),
        ]),
        Line(8, [
            Panel("P95 of a provider call", "Successful and failed calls, measured by the service.", "s",
                  [Query(quantile(0.95, _CALL, by=("gen_ai_provider_name",), place=()), "{{gen_ai_provider_name}}",
                         exemplar=True)], to_traces=True),
            Panel("Provider errors", "Failed calls per second, by error type.", "ops",
                  [Query(observed(_CALL, 'error_type!=""', by=("gen_ai_provider_name", "error_type"), place=()),
                         "{{gen_ai_provider_name}} {{error_type}}")]),
            Panel("Responses of the mock providers", "Responses per second, counted by the providers; injected faults "
                  "by kind.", "reqps",
                  [Query(rate("provider_requests_total", by=("provider", "outcome"), place=()),
                         "{{provider}} {{outcome}}")]),
        ]),
    ]),
    Group("Jobs", [
        Line(8, [
            Panel("Partial videos", "", "ops",
                  [Query(rate("video_jobs_total", 'outcome="partial"', by=("scenario",)), "{{scenario}}")],
                  sli="partial_share"),
            Panel("Failed and cancelled jobs", "Jobs per second.", "ops",
                  [Query(rate("video_jobs_total", 'outcome=~"failed|cancelled"', by=("outcome",)), "{{outcome}}")]),
            Panel("Refused jobs", "", "ops",
                  [Query(rate("video_jobs_rejected_total", by=("reason",)), "{{reason}}")], sli="jobs_rejected"),
            Panel("Cancellation", "", "s",
                  [Query(quantile(q, "video_jobs_cancelled_duration_seconds"), f"P{q * 100:g}", exemplar=True)
                   for q in (0.5, 0.95)], sli="cancel_p95", to_traces=True),
        ]),
    ]),
    Group("Job store", [
        Line(8, [
            Panel("States waiting for the store", "Jobs whose latest state is not yet in the store.", "none",
                  [Query(gauge("video_jobs_unsaved", 'run_id=~"$run_id"', 'scenario=~"$scenario"'), "waiting")]),
            Panel("Deferred and written back", "Job states per second; every deferred state must be written back.",
                  "ops", [Query(rate("video_store_deferred_total"), "deferred"),
                          Query(rate("video_store_written_back_total"), "written back")]),
            Panel("P95 of a store request", "By operation.", "s",
                  [Query(quantile(0.95, "db_client_operation_duration_seconds", by=("db_operation_name",), place=()),
                         "{{db_operation_name}}", exemplar=True)], to_traces=True),
            Panel("Jobs of lost instances", "Jobs per second of dead instances, failed by another instance.", "ops",
                  [Query(rate("video_jobs_lost_total", place=()), "lost")]),
        ]),
    ]),
)
# fmt: on


def build(catalogue: Catalogue, _prices: Prices) -> Board:
    """Return the dashboard."""
    return Board(
        RELIABILITY_UID,
        "Reliability",
        "Retries, circuit breakers, partial and cancelled jobs, the job store, error budgets.",
        [*objective_groups(catalogue, "reliability"), *_GROUPS, *_burn(catalogue)],
    )


def _burn(catalogue: Catalogue) -> tuple[Group, ...]:
    """Return the burn rates of the error budgets; no group without budgets."""
    burning = tuple(budgets(catalogue))
    panels = [
        Panel(
            f"Budget burn over {window}",
            "At 1 the budget lasts exactly as long as its period; an alert fires from a factor of "
            f"{min(alert.factor for alert in BURN_ALERTS if window in {alert.short, alert.long}):g}.",
            "none",
            [
                Query(formula(f"$ratio / {budget.budget:g}", ratio=select(budget.record(window))), budget.title)
                for budget in burning
            ],
        )
        for window in (("5m", "1h") if burning else ())
    ]
    return (Group("Error budgets", [Line(8, panels)]),) if panels else ()
