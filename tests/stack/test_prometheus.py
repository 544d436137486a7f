from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reelbench.stack import prometheus
from reelbench.stack.errors import StackError
from reelbench.stack.prometheus import PrometheusBinary


def test_configuration_has_the_targets_of_each_component() -> None:
    text = prometheus.configuration({"service": ["127.0.0.1:20001"], "loadgen": ["127.0.0.1:20002", "127.0.0.1:20003"]})
    assert yaml.safe_load(text) == {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "service", "static_configs": [{"targets": ["127.0.0.1:20001"]}]},
            {"job_name": "loadgen", "static_configs": [{"targets": ["127.0.0.1:20002", "127.0.0.1:20003"]}]},
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


def test_2_42_is_the_oldest_supported_version(fake_prometheus: Callable[..., Path]) -> None:
    for version in ("2.42.0", "2.55.1", "3.14.0", "10.0.0"):
        path = fake_prometheus(version)
        assert prometheus.verify(path, "here") == PrometheusBinary(path, version, "here")
    for version in ("2.41.0", "1.99.0", "2.5.0"):
        with pytest.raises(StackError, match=rf"is Prometheus {version}; 2\.42 is the oldest"):
            prometheus.verify(fake_prometheus(version), "here")


def test_other_programs_are_rejected(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 'node_exporter, version 1.8.0'\nexit 1\n")
    with pytest.raises(StackError, match="cannot be run \\(Permission denied\\)"):
        prometheus.verify(other, "here")
    other.chmod(0o755)
    with pytest.raises(StackError, match="is not Prometheus: '--version' does not say so \\(exit status 1\\)"):
        prometheus.verify(other, "here")


def test_known_problems_are_explained() -> None:
    for log, meaning in (
        ('err="write /wal/0001: no space left on device"', "the disk is full"),
        ('err="opening storage failed: lock DB directory: resource temporarily unavailable"', "in use by another"),
        ('err="listen tcp 127.0.0.1:9: bind: address already in use"', "taken by another process"),
        ('err="opening storage failed: block dir: unexpected"', "damaged"),
    ):
        assert meaning in (prometheus.trouble(log) or ""), log
    assert prometheus.trouble("level=warn msg=hello") is None
