"""HTTPS with certificates made here, and proxies: what is sent where, and one sentence for what is refused."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reelbench.loadgen.http.credentials import Credentials
from reelbench.loadgen.http.http1 import Http1Transport
from reelbench.loadgen.http.transport import TransportError, open_transport
from tests.loadgen.certificates import authority, certificate, server_side
from tests.loadgen.raw_server import Asked, Peer, ok, raw
from tests.loadgen.transport.harness import ask, using


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority(folder)
    return folder


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Answer every request over TLS with its Authorization header."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = re.search(r"Authorization: (.*)\r\n", head)
            writer.write(ok(found[1].encode() if found else b"none", b"Connection: close\r\n"))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def outcome(url: str, *, insecure: bool = False, **files: Path) -> str:
    """Return what a request says: the body of the answer, or the error."""
    credentials = replace(
        Credentials(origin=url, headers={"Authorization": "Bearer k"}, insecure=insecure),
        **files,  # type: ignore[arg-type] # mypy thinks of all fields
    )
    async with using(open_transport(url, 1, credentials)) as transport:
        try:
            status, body = await ask(transport)
        except TransportError as error:
            return str(error)
        return f"{status} {body.decode()}"


async def test_a_certificate_that_is_not_trusted_is_one_sentence_with_the_cure(folder: Path) -> None:
    made = {
        "good": certificate(folder, "good"),
        "alone": certificate(folder, "alone", ca=None),
        "host": certificate(folder, "host", alternative="DNS:elsewhere.example"),
        "expired": certificate(folder, "expired", days="-1"),
    }
    ca = folder / "ca.pem"
    expected = {
        "good": ("unable to get local issuer certificate; trust its authority with --ca-file", "200 Bearer k"),
        "alone": ("self-signed certificate; trust its authority with --ca-file, or accept it with --insecure", None),
        "host": ("certificate is not valid for '127.0.0.1'; write the host that it names into --target", None),
        "expired": ("certificate has expired; renew it at the server", None),
    }
    for name, (untrusted, trusted) in expected.items():
        async with serving(server_side(made[name])) as url:
            with_ca = await outcome(url, ca_file=ca)
            without = await outcome(url) if name in {"good", "alone"} else with_ca
            assert without.startswith("certificate: "), (name, without)
            assert untrusted in without, (name, without)
            assert trusted is None or with_ca == trusted
            assert await outcome(url, insecure=True) == "200 Bearer k", name
    async with serving(server_side(made["alone"])) as url:
        assert await outcome(url, ca_file=made["alone"][0]) == "200 Bearer k"


async def test_a_client_certificate_is_shown_to_the_server_that_asks_for_it(folder: Path) -> None:
    server, (client, key) = certificate(folder, "server"), certificate(folder, "client")
    authority(folder, "other")
    stranger, stranger_key = certificate(folder, "stranger", ca="other")
    ca = folder / "ca.pem"
    async with serving(server_side(server, clients=ca)) as url:
        assert await outcome(url, ca_file=ca, client_cert=client, client_key=key) == "200 Bearer k"
        for refused in (
            await outcome(url, ca_file=ca),
            await outcome(url, ca_file=ca, client_cert=stranger, client_key=stranger_key),
        ):
            assert refused.startswith("certificate: the server ended the connection after the handshake")
            assert "give --client-cert and --client-key" in refused


async def test_https_to_a_port_of_plain_http_says_so() -> None:
    async def answer(peer: Peer, _: Asked) -> None:
        await peer.say(ok())

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    said = await outcome(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    assert said == "certificate: the server speaks no TLS on this port; write http:// in --target"


async def test_a_proxy_gets_the_whole_url_and_its_own_login() -> None:
    async def answer(peer: Peer, asked: Asked) -> None:
        await peer.say(ok(asked.line.encode()))

    async with raw(answer) as proxy:
        proxies = {"http": proxy.url.replace("://", "://me:p%40ss@")}
        credentials = Credentials(origin="http://video.example", headers={"Authorization": "Bearer k"}, proxies=proxies)
        async with using(open_transport("http://video.example", 1, credentials)) as transport:
            assert await ask(transport) == (200, b"GET http://video.example/it HTTP/1.1")
        (asked,) = proxy.asked
        assert base64.b64decode(asked.headers["proxy-authorization"].removeprefix("Basic ")) == b"me:p@ss"
        assert asked.headers["authorization"] == "Bearer k"
        async with using(open_transport("http://other.example", 1, credentials)) as transport:
            assert (await ask(transport))[0] == 200
        assert "authorization" not in proxy.asked[1].headers
        async with using(open_transport(proxy.url, 1, credentials)) as transport:
            assert isinstance(transport, Http1Transport)  # loopback
            assert await ask(transport) == (200, b"GET /it HTTP/1.1")


async def test_https_through_a_proxy_is_a_tunnel(folder: Path) -> None:
    opened: list[str] = []

    async with serving(server_side(certificate(folder, "tunnel", alternative="DNS:video.example"))) as url:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append((await reader.readuntil(b"\r\n\r\n")).decode())
            there, to_server = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_copy(reader, to_server), _copy(there, writer))

        proxy = await asyncio.start_server(handle, "127.0.0.1", 0)
        credentials = Credentials(
            origin="https://video.example",
            headers={"Authorization": "Bearer k"},
            ca_file=folder / "ca.pem",
            proxies={"https": f"http://me:pw12@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"},
        )
        async with using(open_transport("https://video.example", 1, credentials)) as transport:
            assert await ask(transport) == (200, b"Bearer k")
        proxy.close()
    (head,) = opened
    assert head.startswith("CONNECT video.example:443 HTTP/1.1\r\n")
    assert "Bearer k" not in head
    assert "Proxy-Authorization: Basic bWU6cHcxMg==" in head


async def test_a_proxy_that_refuses_or_is_not_there_is_one_line_without_its_password() -> None:
    async def refuse(peer: Peer, _: Asked) -> None:
        await peer.say(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n")

    async with raw(refuse) as proxy:
        place = proxy.url.replace("://", "://me:pw12@")
        credentials = Credentials(origin="https://video.example", proxies={"https": place})
        async with using(open_transport("https://video.example", 1, credentials)) as transport:
            with pytest.raises(TransportError, match=r"^the proxy refused the connection with HTTP 407$"):
                await ask(transport)
    async with using(open_transport("https://video.example", 1, credentials)) as transport:
        with pytest.raises(TransportError, match=r"^cannot connect to the proxy: Connection refused$"):
            await ask(transport)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
