"""Secrets go to the server of the base URL alone, wherever its redirects and links lead."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.target.probe import Facts, Probe, Wish
from reelbench.loadgen.target.target_error import TargetError
from reelbench.loadgen.target.target_file import load_preset
from tests.fakes.generation import Load
from tests.fakes.manners import manner
from tests.fakes.server import KEY, Fake
from tests.fakes.serving import serving


async def probed(fake: Fake) -> Facts:
    headers = {"Authorization": f"Bearer {KEY}", "X-Api-Token": "t0ken"}
    credentials = Credentials(origin=fake.origin, headers=headers)
    probe = Probe(
        fake.origin, load_preset("sglang"), credentials, time_limit=20, clock=Clock.start(), say=lambda _: None
    )
    return await probe.run(Wish("1", "320x192", None, ()))


@pytest.mark.parametrize("switch", ["content-redirect", "content-url-elsewhere", "content-unsigned-urls-elsewhere"])
async def test_a_file_at_another_server_is_read_without_secrets(switch: str) -> None:
    async with serving(Fake(manner("fastvideo", [switch, "key"]), Load(seconds=0.1))) as fake:
        facts = await probed(fake)
        assert facts.error is None
        assert facts.content is not None
        assert facts.content.bytes > 1000
        elsewhere = urlsplit(fake.elsewhere).netloc
        there = [seen for seen in fake.truth.requests if seen.host == elsewhere]
        here = [seen for seen in fake.truth.requests if seen.host != elsewhere]
    assert [seen.status for seen in there] == [200]
    assert all("X-Api-Token" not in seen.headers and not seen.authorization for seen in there)
    assert len(here) >= 3
    assert all(seen.headers["X-Api-Token"] == "t0ken" and seen.authorization == f"Bearer {KEY}" for seen in here)


async def test_a_redirect_of_the_api_to_another_server_is_not_followed() -> None:
    async with serving(Fake(manner("fastvideo", ["moved-308"]), Load(seconds=0.1))) as fake:
        with pytest.raises(TargetError, match="HTTP 308 to another server, "):
            await probed(fake)
        elsewhere = urlsplit(fake.elsewhere).netloc
        assert [seen for seen in fake.truth.requests if seen.host == elsewhere] == []
