"""The sets of known metric names, and the indicators of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from reelbench.reporting.catalogue.server_metrics import (
    MetricSetError,
    ServerRole,
    known_sets,
    read_set,
    sets_of,
    unknown_sets,
)
from reelbench.reporting.catalogue.sli_file import CatalogueError
from reelbench.reporting.catalogue.user_slis import load_user_slis
from tests.fakes.exposition import FAMILIES, exposition
from tests.fakes.generation import Load
from tests.fakes.truth import Truth

SLI = """
version: 1
slis:
  - id: waiting_most
    title: Most waiting requests
    unit: requests
    kind: value
    dimension: performance
    section: server
    scope: case
    query: max_over_time(my:waiting{job="a"}[$length] @ $end)
    why: My limit.
    objective: {value: 5.0, direction: at_most}
"""


def names_of(*families: str) -> set[str]:
    page = exposition(frozenset(families), Truth(), Load(), "m")
    return {line.split("{")[0].split()[0] for line in page.splitlines() if not line.startswith("#")}


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("sglang", "sglang_diffusion"),
        ("vllm_omni", "vllm_omni"),
        ("vllm_omni_older", "vllm_omni"),
        ("tensorrt_llm", "tensorrt_llm"),
        ("tensorrt_llm_colon", "tensorrt_llm"),
        *((one, one) for one in ("dynamo", "triton", "litellm", "dcgm", "process")),
    ],
)
def test_a_page_is_recognised_and_every_metric_of_the_set_is_found(family: str, name: str) -> None:
    present = names_of(family)
    assert sets_of(present) == (name,)
    found = known_sets()[name]
    absent = {metric.metric for metric in found.metrics if found.named(metric, present) is None}
    assert absent <= {
        "diffusion_preprocess_s",
        "diffusion_postprocess_s",
        "inference_request_duration_us",
        "inference_pending_request_count",
        "gpu_power_usage",
    }


def test_all_families_of_the_fakes_have_a_set() -> None:
    assert {name for family in FAMILIES for name in sets_of(names_of(family))} == set(known_sets())


def test_the_process_metrics_of_an_exporter_are_its_own() -> None:
    exporter = names_of("dcgm", "process")
    assert sets_of(exporter) == ("dcgm",)
    assert sets_of(exporter | names_of("vllm_omni")) == ("dcgm", "process", "vllm_omni")


def test_unknown_sets_are_named_with_their_cure() -> None:
    assert unknown_sets(["dcgm", "vllm-omni"]) == [
        "'vllm-omni' is no set of known metric names; did you mean 'vllm_omni'?"
    ]


def test_results_follow_from_labels() -> None:
    metrics = [m for m in known_sets()["vllm_omni"].metrics if m.role is ServerRole.REQUESTS]
    assert metrics[0].result_of({"finished_reason": "stop"}) == "completed"
    assert metrics[0].result_of({"finished_reason": "abort"}) == "cancelled"
    assert metrics[1].result_of({"reason": "stage_error"}) == "failed"


def test_all_mistakes_of_a_set_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "version: 1\nname: other\ntitle: Mine\nmetrics:\n"
        "  - {role: requests, metric: done, type: counter}\n"
        "  - {role: latency, metric: took, type: gauge, per: done}\n"
    )
    with pytest.raises(MetricSetError) as caught:
        read_set(path)
    assert [error.split("mine.yaml: ")[1] for error in caught.value.errors] == [
        "name is 'other'; write 'mine', the name of the file",
        "metrics: 1 (done): role requests needs result, of a series that results does not name",
        "metrics: 2 (took): per needs type counter, it is gauge",
    ]
    path.write_text(
        "version: 1\nname: mine\ntitle: Mine\nmetrics:\n  - {role: latancy, metric: a, type: counter, foo: 1}\n"
    )
    with pytest.raises(MetricSetError) as caught:
        read_set(path)
    assert [error.split("mine.yaml: ")[1] for error in caught.value.errors] == [
        "metrics: 1: unknown key 'foo'; remove it",
        "metrics: 1: role is 'latancy'; did you mean 'latency'?",
    ]


def test_indicators_of_the_user_have_the_borders_of_a_case(tmp_path: Path) -> None:
    path = tmp_path / "slis.yaml"
    path.write_text(SLI)
    (sli,) = load_user_slis(path).slis
    assert (sli.id, sli.objective.value if sli.objective else None) == ("waiting_most", 5.0)


def test_all_mistakes_of_the_users_indicators_are_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "slis.yaml"
    path.write_text(
        SLI.replace("id: waiting_most", "id: response_time_p95\n    role: throughput")
        .replace("section: server", "section: memory")
        .replace("scope: case", "scope: run")
    )
    with pytest.raises(CatalogueError) as caught:
        load_user_slis(path)
    assert [error.split("slis.yaml: ")[1] for error in caught.value.errors] == [
        "sli response_time_p95: the catalogue of the project has an indicator of this id; choose another",
        "sli response_time_p95: role is for the indicators of the project; leave it out",
        "sli response_time_p95: section is memory; write server",
        "sli response_time_p95: scope run is never judged; write case or scenario",
    ]
    path.write_text(SLI.replace("$length", "$window_of_mine").replace("kind: value", "kind: worth"))
    with pytest.raises(CatalogueError) as caught:
        load_user_slis(path)
    assert len(caught.value.errors) == 2
