from __future__ import annotations

from reelbench.reporting.catalogue.sli_file import load
from reelbench.reporting.compare.ablation_report import KEY
from reelbench.reporting.compare.kinds import COUNTS, SAMPLED, SHARES

CATALOGUE = load()


def test_every_indicator_with_a_kind_is_in_the_catalogue_and_has_a_direction() -> None:
    compared = {sli.id for sli in CATALOGUE.slis if sli.better}
    assert {*SAMPLED, *SHARES, *COUNTS, *KEY} <= compared


def test_shares_and_counts_have_a_sample_size() -> None:
    for name in SHARES | COUNTS:
        sli = CATALOGUE.get(name)
        assert sli.n or sli.function, name
    assert {CATALOGUE.get(name).unit for name in SHARES} == {"ratio"}


def test_an_objective_gives_the_direction_and_sample_sizes_have_none() -> None:
    better = {sli.id: sli.better for sli in CATALOGUE.slis}
    assert (better["throughput"], better["response_time_p95"]) == ("at_least", "at_most")
    assert (better["response_time_avg"], better["job_calls"]) == ("at_most", "at_most")
    assert {name: way for name, way in better.items() if way and name.endswith("_n")} == {}
    assert better["client_jobs"] is None
