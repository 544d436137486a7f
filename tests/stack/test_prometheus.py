from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reelbench.stack import prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary


def test_configuration_has_one_target_per_component() -> None:
    text = prometheus.configuration({"service": "127.0.0.1:20001", "loadgen": "127.0.0.1:20002"})
    assert yaml.safe_load(text) == {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "service", "static_configs": [{"targets": ["127.0.0.1:20001"]}]},
            {"job_name": "loadgen", "static_configs": [{"targets": ["127.0.0.1:20002"]}]},
        ],
    }


def test_configuration_without_targets_scrapes_nothing() -> None:
    assert yaml.safe_load(prometheus.configuration({}))["scrape_configs"] == []


def test_command_line_is_loopback_only_and_keeps_data() -> None:
    command = prometheus.command(Path("/p"), config=Path("/c.yml"), data=Path("/d"), port=20003)
    assert command[0] == "/p"
    assert "--web.listen-address=127.0.0.1:20003" in command
    assert "--storage.tsdb.retention.time=100y" in command
    assert not any("lifecycle" in word or "admin" in word for word in command)


@pytest.mark.parametrize("version", ["2.42.0", "2.55.1", "3.14.0", "10.0.0"])
def test_supported_versions(version: str, fake_prometheus: Callable[..., Path]) -> None:
    path = fake_prometheus(version)
    assert prometheus.verify(path, "here") == PrometheusBinary(path, version, "here")


@pytest.mark.parametrize("version", ["2.41.0", "1.99.0", "2.5.0"])
def test_older_versions_are_refused(version: str, fake_prometheus: Callable[..., Path]) -> None:
    with pytest.raises(StackError, match=rf"is Prometheus {version}; 2.42 is the oldest that is supported\.$"):
        prometheus.verify(fake_prometheus(version), "here")


def test_what_is_not_prometheus_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 'node_exporter, version 1.8.0'\nexit 1\n")
    with pytest.raises(StackError, match="cannot be run \\(Permission denied\\)"):
        prometheus.verify(other, "here")
    other.chmod(0o755)
    with pytest.raises(StackError, match="is not Prometheus: '--version' does not say so \\(exit status 1\\)"):
        prometheus.verify(other, "here")


@pytest.mark.parametrize(
    ("log", "meaning"),
    [
        ('err="write /wal/0001: no space left on device"', "the disk is full"),
        ('err="opening storage failed: lock DB directory: resource temporarily unavailable"', "in use by another"),
        ('err="listen tcp 127.0.0.1:9: bind: address already in use"', "taken by another process"),
        ('err="opening storage failed: block dir: unexpected"', "damaged"),
    ],
)
def test_known_troubles_are_explained(log: str, meaning: str) -> None:
    assert meaning in (prometheus.trouble(log) or "")


def test_unknown_trouble_is_none() -> None:
    assert prometheus.trouble("level=warn msg=hello") is None
