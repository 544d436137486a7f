"""Faults of the network: the plan, the toxics, the way through the proxy, and a real Toxiproxy where there is one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from reelbench.loadgen.clock import Clock
from reelbench.loadgen.control.admin_client import AdminClient
from reelbench.loadgen.control.faults import Injector
from reelbench.loadgen.control.guard import Guard
from reelbench.loadgen.control.network_side import NetworkSide, added_latency, open_network, toxic_of
from reelbench.loadgen.control.preflight import default_choice, preflight
from reelbench.loadgen.control.toxiproxy import Toxic, ToxiproxyError, find_program, listen_address, reachable
from reelbench.loadgen.http.transport import Request, TransportError, open_transport
from reelbench.loadgen.plan.fault_plan import PlannedFault, plan_all_faults
from reelbench.loadgen.target.target_error import TargetError
from reelbench.stack.binaries import cache_folder
from reelbench.stack.tools import toxiproxy_environment
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import case, scenario
from tests.loadgen.transport.harness import Taken

LATENCY = {"network": "latency", "seconds": 0.3, "jitter": 0.05, "rate": 0.5}


def planned(*kinds: dict[str, Any], **times: float) -> tuple[PlannedFault, ...]:
    faults = [{"at": 0, "what": what} | times for what in kinds]
    return plan_all_faults([scenario(cases=[case(faults=faults)])], "quick", 1)


@pytest.mark.parametrize(
    ("what", "toxic"),
    [
        (LATENCY, Toxic("n", "latency", "downstream", 0.5, {"latency": 300, "jitter": 50})),
        ({"network": "bandwidth", "kilobytes_per_second": 20}, Toxic("n", "bandwidth", "downstream", 1, {"rate": 20})),
        ({"network": "timeout", "direction": "upstream"}, Toxic("n", "timeout", "upstream", 1, {"timeout": 0})),
        ({"network": "reset", "seconds": 1.5}, Toxic("n", "reset_peer", "downstream", 1, {"timeout": 1500})),
    ],
)
def test_each_fault_is_a_toxic(what: dict[str, Any], toxic: Toxic) -> None:
    (fault,) = planned(what)
    assert toxic_of(fault, "n") == toxic


@pytest.mark.parametrize(
    ("api", "variables", "listen", "made", "there"),
    [
        ("http://127.0.0.1:8474", {}, "127.0.0.1:0", "127.0.0.1:4000", ("127.0.0.1", 4000)),
        ("http://toxi:8474", {}, "0.0.0.0:0", "[::]:4000", ("toxi", 4000)),
        ("http://toxi:8474", {"TOXIPROXY_LISTEN": "0.0.0.0:86"}, "0.0.0.0:86", "0.0.0.0:86", ("toxi", 86)),
    ],
)
def test_the_proxy_listens_where_this_machine_reaches_it(
    api: str, variables: dict[str, str], listen: str, made: str, there: tuple[str, int]
) -> None:
    assert listen_address(variables, api) == listen
    assert reachable(api, made) == there


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """Yield the port of a server that answers with the Host header."""
    app = web.Application()
    app.router.add_get("/{path:.*}", _host)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def _host(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.host} {request.path}")


async def test_the_connection_goes_to_the_proxy_and_the_host_stays_that_of_the_target() -> None:
    async with echo() as port:
        transport = open_transport("http://video.example:81/api", 1, dial=("127.0.0.1", port))
        taken = Taken()
        await transport.exchange(Request("GET", "/v1/videos"), taken)
        await transport.close()
    assert taken.body == b"video.example:81 /api/v1/videos"


async def test_tls_through_the_proxy_asks_for_the_name_of_the_target() -> None:
    asked: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(2000))
        writer.close()

    server = await asyncio.start_server(record, "127.0.0.1", 0)
    transport = open_transport("https://video.example/api", 1, dial=server.sockets[0].getsockname()[:2])
    with pytest.raises(TransportError):
        await transport.exchange(Request("GET", "/"), Taken())
    await transport.close()
    server.close()
    assert b"video.example" in asked[0]  # server_name of the ClientHello


async def test_without_toxiproxy_the_scenario_is_left_out_with_the_cure() -> None:
    plain, broken = scenario(name="plain"), scenario(cases=[case(faults=[{"at": 0, "what": LATENCY}])])
    lines: list[str] = []
    async with AdminClient("http://127.0.0.1:9") as nothing:
        found = await preflight(
            [plain, broken], {"service": nothing}, named=False, say=lines.append, network="there is no Toxiproxy"
        )
        assert found == ([plain], {})
        with pytest.raises(TargetError, match="trial cannot run: no faults of the network can be made") as raised:
            await preflight(
                [broken], {"service": nothing}, named=True, say=lines.append, network="there is no Toxiproxy"
            )
    (line,) = lines
    assert line.startswith(
        "left out: trial: no faults of the network can be made (there is no Toxiproxy): build it with"
    )
    assert str(raised.value).endswith("TOXIPROXY_URL")
    with pytest.raises(ToxiproxyError, match="there is no Toxiproxy"), Guard() as guard:
        async with open_network("http://127.0.0.1:9", {"PATH": "/nowhere"}, guard):
            pass


def test_the_scenarios_for_other_servers_are_no_default_of_the_bundled_service() -> None:
    usual, other = scenario(name="usual"), scenario(name="other", default_for="other_servers")
    assert default_choice([usual, other], ours=True) == [usual]
    assert default_choice([usual, other], ours=None) == [usual]
    assert default_choice([usual, other], ours=False) == [usual, other]
    resources = scenario(name="used", dimension="resources")
    assert default_choice([usual, resources], ours=False, metrics=False) == [usual]
    assert default_choice([usual, resources], ours=False, metrics=True) == [usual, resources]
    assert default_choice([usual, resources], ours=None, metrics=False) == [usual, resources]


# ---- with a real Toxiproxy ------------------------------------------------------------------------------------------

VARIABLES = dict(os.environ) | toxiproxy_environment(os.environ, cache_folder())
real = pytest.mark.skipif(
    find_program(VARIABLES) is None, reason="there is no Toxiproxy; where there is Go: make stack-tools"
)


@asynccontextmanager
async def behind() -> AsyncIterator[tuple[str, NetworkSide]]:
    """Yield the URL of a fake target and a proxy before it."""
    with Guard() as guard:
        async with serving(FakeTarget()) as fake, open_network(fake.url, VARIABLES, guard) as side:
            yield fake.url, side


async def seconds_of(url: str, side: NetworkSide) -> float:
    transport = open_transport(url, 1, dial=side.address)
    begun = time.monotonic()
    try:
        await transport.exchange(Request("GET", "/v1/videos?limit=1", silence=1.0), Taken())
    finally:
        await transport.close()
    return time.monotonic() - begun


@real
@pytest.mark.acceptance
async def test_latency_delays_answers_and_ends() -> None:
    async with behind() as (url, side):
        injector = Injector({"network": side}, Clock.start(), lambda _: None, lambda _: None)
        usual = await seconds_of(url, side)
        async with injector.during(planned({"network": "latency", "seconds": 0.4})):
            slow = await seconds_of(url, side)
        again = await seconds_of(url, side)
    assert slow >= 0.4
    assert max(usual, again) < 0.3
    (record,) = injector.records
    assert (record.target, record.kind, record.seconds) == ("network", "latency", 0.4)
    assert record.ended is not None


@real
@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("kind", "said"), [("down", "Connection refused"), ("reset", "reset by peer"), ("timeout", "time-out")]
)
async def test_a_broken_network_fails_requests_until_it_is_whole_again(kind: str, said: str) -> None:
    async with behind() as (url, side):
        injector = Injector({"network": side}, Clock.start(), lambda _: None, lambda _: None)
        async with injector.during(planned({"network": kind})):
            with pytest.raises(TransportError, match=said):
                await seconds_of(url, side)
        await seconds_of(url, side)  # a broken network would raise


@real
@pytest.mark.acceptance
async def test_what_the_proxy_adds_is_measured_and_its_server_ends() -> None:
    async with behind() as (url, side):
        direct, through = await added_latency(url, side.address)
        assert len(direct) == len(through) == 20
        assert 0 < min(direct) < 0.1
        assert 0 < min(through) < 0.1
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*side.address)
