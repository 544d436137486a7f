"""The indicators of a server that is not ours: those that its own metrics, and the user, can give."""

from __future__ import annotations

from pathlib import Path

from reelbench.loadgen.record.run_files import SLIS_FILE
from reelbench.reporting.analysis.server_figures import has
from reelbench.reporting.catalogue.server_metrics import ServerRole
from reelbench.reporting.catalogue.sli import Catalogue, RecordFunction, Sli
from reelbench.reporting.catalogue.user_slis import load_user_slis, with_user_slis
from reelbench.reporting.evidence.evidence import Evidence

OURS = "loadgen_"
"""Prefix of the metrics of the load generator, which every run has."""
OF_THE_SERVICE = frozenset(
    {
        RecordFunction.CALLS_WHILE_OPEN,
        RecordFunction.BREAKER_OPENED,
        RecordFunction.MEAN_TIME_TO_RECOVERY,
        RecordFunction.MEMORY_PER_JOB,
        RecordFunction.CPU_UTILISATION,
        RecordFunction.MEMORY_GROWTH,
        RecordFunction.MEMORY_LEAKED,
    }
)
"""Functions over what only the service of this project records."""
ROLES: dict[RecordFunction, tuple[ServerRole, ...]] = {
    RecordFunction.SERVER_MEMORY_GROWTH: (ServerRole.RESIDENT_MEMORY,),
    RecordFunction.SERVER_MEMORY_LEAKED: (ServerRole.RESIDENT_MEMORY,),
    RecordFunction.SERVER_CPU_PER_VIDEO: (ServerRole.CPU_SECONDS,),
    RecordFunction.SERVER_GPU_UTILISATION: (ServerRole.GPU_UTILISATION,),
    RecordFunction.SERVER_GPU_ERRORS: (ServerRole.GPU_ERRORS,),
    RecordFunction.SERVER_ENERGY_PER_VIDEO: (ServerRole.GPU_ENERGY, ServerRole.GPU_POWER),
}
"""Functions over the metrics of a server that is not ours, and the roles that give them."""


def of_target(evidence: Evidence, run_dir: Path) -> Catalogue:
    """Return the catalogue with the indicators that exist for the target of a run, and those of the user.

    Raises:
        CatalogueError: the file of the user is wrong.
    """
    fits = _of_foreign if evidence.foreign else _of_ours
    found = Catalogue(tuple(sli for sli in evidence.catalogue.slis if fits(sli)), evidence.catalogue.readings)
    return with_user_slis(found, load_user_slis(run_dir / SLIS_FILE)) if (run_dir / SLIS_FILE).exists() else found


def _of_ours(sli: Sli) -> bool:
    return sli.function not in ROLES


def _of_foreign(sli: Sli) -> bool:
    """Return True for an indicator over the load generator's metrics, its records, or the server's own metrics."""
    if sli.function is not None:
        return sli.function not in OF_THE_SERVICE
    return all(name.startswith(OURS) for name in sli.metrics)


def that_exist(evidence: Evidence) -> Catalogue:
    """Return the catalogue without the indicators whose metrics the server does not have.

    One stays, so that the report says that nothing of the server was seen.
    """
    kept = evidence.catalogue
    if not evidence.foreign:
        return kept
    always = RecordFunction.SERVER_MEMORY_GROWTH if evidence.server is None else None
    slis = tuple(
        sli
        for sli in kept.slis
        if sli.function not in ROLES or sli.function is always or has(evidence, *ROLES[sli.function])
    )
    return Catalogue(slis, kept.readings)
