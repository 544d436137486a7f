"""``reelbench merge``: make one run of the shares of several load generators, and write its reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from reelbench.exit_code import ExitCode
from reelbench.loadgen.record.address import shown_url
from reelbench.loadgen.record.conditions import ahead_of, read_conditions
from reelbench.loadgen.record.run import RunRecord, RunState
from reelbench.loadgen.record.run_files import RecordError
from reelbench.reporting.catalogue.prices import PricesError
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.evidence.prometheus import QueryError
from reelbench.stack.errors import StackError
from reelbench.stack.external import ExternalRun, find_external
from reelbench.suite.collecting import collect, copies_for, places_of
from reelbench.suite.commands.console import RUNS, echo, fail, say
from reelbench.suite.merging import ShareError, ShareFolder, merge
from reelbench.suite.trace_store import await_traces


def main(
    *,
    shares: Annotated[
        list[str], typer.Argument(help="Folders of the shares, a folder that holds them, or its URL (s3://, gs://).")
    ],
    into: Annotated[Path | None, typer.Option(help="Folder of the merged run. Default: runs/<run_id>.")] = None,
    run_id: Annotated[
        str | None, typer.Option(envvar="REELBENCH_RUN_ID", help="The run, where shares of several runs are there.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Most seconds to wait until all shares are there and have ended.")] = 0.0,
    charts: Annotated[bool, typer.Option(help="Draw the charts of the report.")] = True,
    reports: Annotated[bool, typer.Option(help="Write the reports of the merged run.")] = True,
) -> None:
    """Merge the shares of several load generators into one run, and write its reports as if one had made it.

    Metrics and traces are those of the stack that `reelbench run` would use: that of docker compose, or the one that
    SERVICE_URL, PROMETHEUS_URL, TEMPO_URL and OTEL_EXPORTER_OTLP_ENDPOINT name. Without a stack, the objectives that
    need one have no data.

    Exit codes: as `reelbench run`; 3 too when a share is missing, late or not complete, with its number.
    """
    try:
        with copies_for(shares) as copies:
            found = collect(places_of(shares, copies), run_id, wait, say)
            folder = into or RUNS / found[0].run.run_id
            run = merge(found, folder)
        say(f"merged {len(found)} shares of run {run.run_id} into {folder}")
        code = _report(folder, run, found, charts=charts) if reports else ExitCode.PASS
    except ShareError as error:
        fail(error.exit_code, [str(error)])
    except RecordError as error:
        fail(ExitCode.USAGE, [str(error)])
    except (CatalogueError, PricesError) as error:
        fail(ExitCode.USAGE, error.errors)
    except (StackError, QueryError) as error:
        fail(ExitCode.ABSENT, [str(error)])
    except OSError as error:
        fail(ExitCode.USAGE, [f"cannot read or write {error.filename} ({error.strerror}); correct it and merge again"])
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    raise typer.Exit(ExitCode.INTERRUPTED if run.state is RunState.INTERRUPTED else code)


def _report(folder: Path, run: RunRecord, shares: list[ShareFolder], *, charts: bool) -> int:
    """Wait until Prometheus has all metrics of the run, and write the reports; return the exit code."""
    from reelbench.reporting.export import REPORTS_DIR, export  # noqa: PLC0415 - takes a second
    from reelbench.reporting.formats import DEFAULT  # noqa: PLC0415
    from reelbench.reporting.publish import PAGE  # noqa: PLC0415

    external = find_external(say, environment=os.environ)
    url = None
    if external is None:
        say("warning: no stack is there: the reports have no metrics (PROMETHEUS_URL, SERVICE_URL)")
    else:
        url = external.addresses.prometheus
        say(f"using the Prometheus at {shown_url(url)}")
        with ExternalRun(external, folder) as stack:
            ended = [one.run.ended for one in shares if one.run.ended is not None] or [run.started]
            ahead = ahead_of(read_conditions(folder), "prometheus")
            settled = stack.await_telemetry(
                max(ended),
                ahead=ahead,
                loadgens=len(ended),
                loadgens_after=min(ended),
                service_replicas=run.service_replicas,
            )
        if not settled.complete:
            say(f"warning: no metrics past the end of the run from {', '.join(settled.missing)}: counts may differ")
        await_traces(folder, say)
    exported = export(folder, url, charts=charts, formats=DEFAULT)
    for line in exported.summary:
        echo(line)
    say(f"all on one page: {folder / REPORTS_DIR / PAGE}")
    return exported.exit_code
