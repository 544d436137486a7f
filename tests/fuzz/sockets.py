"""Fuzzing over sockets: broken requests to the service and the providers, broken answers to the client of a run."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from reelbench.loadgen.http.aiohttp import AiohttpTransport
from reelbench.loadgen.http.http1 import Http1Transport
from reelbench.loadgen.http.transport import EnoughError, Request, Transport, TransportError
from reelbench.loadgen.target.answer import Answer
from tests.fuzz.cases import cases
from tests.fuzz.http_readers import READERS, SERVER_ERROR, WORDS_OF_HTTP
from tests.fuzz.stand import Part, stand

CORPUS = Path(__file__).parent / "corpus"
SILENCE = 0.05
"""Seconds without an answer after which a connection is closed: most broken requests get none before more bytes."""
AT_ONCE = 16
MOST_ANSWER = 1 << 20
MOST_GROWTH = 96 * 1024**2
"""Bytes by which a process may grow: its caches and one body of each connection."""
MOST_DESCRIPTORS = 40
VALID = 5
"""Cases at the beginning that are valid."""
EXCHANGE_SECONDS = 20.0
"""After which an exchange counts as hanging; each has a time-out of a second for silence."""
BODY = b'{"prompt": "a", "seconds": "4", "size": "720x1280"}'
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; '
    b'name="input_reference"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nA text.\r\n--b--\r\n'
)
Result = tuple[str, int, Sequence[str], float]


def _post(path: bytes, body: bytes, kind: bytes = b"application/json", method: bytes = b"POST") -> bytes:
    lines = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
    return lines % (method, path, kind, len(body), body)


def _get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n" % (path, more)


SERVICE = (
    _post(b"/v1/videos", BODY),
    _post(b"/v1/videos", FORM, b"multipart/form-data; boundary=b"),
    _get(b"/v1/videos?limit=3&order=asc&after=video_1"),
    _get(b"/v1/videos/video_00000000000000000000000000000000"),
    _get(b"/v1/videos/video_x/content?variant=thumbnail", b"Range: bytes=0-9,20-\r\nIf-None-Match: x\r\n"),
    _get(b"/v1/videos/video_x/wait?timeout=0.01"),
    _post(b"/faults", b'{"seed":1,"lifetime":1,"rules":[]}', method=b"PUT"),
    _post(b"/v1/admin/switches", b'{"cache":false}', method=b"PUT"),
    _get(
        b"/ready",
        b"baggage: run_id=a,scenario=b,case=c\r\ntraceparent: 00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\r\n",
    ),
)
PROVIDERS = (
    _post(
        b"/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{"scenes":"2"}}'
    ),
    _post(b"/v1/audio/speech", b'{"model":"m","input":"hello","voice":"alloy","response_format":"wav"}'),
    _post(b"/v1/images/generations", b'{"model":"m","prompt":"x","size":"1024x1536","n":1}'),
    _post(b"/faults", b'{"seed":1,"lifetime":1,"rules":[]}', method=b"PUT"),
    _get(b"/settings"),
)
WORDS = (
    *WORDS_OF_HTTP,
    b'"prompt"',
    b'"seconds"',
    b'"size"',
    b"--b--\r\n",
    b"filename*=UTF-8''",
    b"%00",
    b"..%2f",
    b"\xc0\xaf",
)


def fuzz(count: int, seconds: float, seed: int) -> Iterator[Result]:
    """Yield the results for service, providers, and both clients of the load generator."""
    share = count // 4
    with stand() as parts:
        for name, part, seeds in (
            ("service over sockets", parts.service, SERVICE),
            ("providers over sockets", parts.providers, PROVIDERS),
        ):
            source = cases(seeds, WORDS, 8192, Random(seed))
            yield asyncio.run(_requests(name, part, source, share, seconds / 4))
    for name, make in (("client over sockets", Http1Transport), ("client of https over sockets", AiohttpTransport)):
        yield asyncio.run(_answers(name, make, share, seconds / 4, seed))


async def _requests(name: str, part: Part, source: Iterator[bytes], count: int, seconds: float) -> Result:
    began, findings = time.monotonic(), []
    made = 0
    port = int(part.url.rpartition(":")[2])
    for _ in range(VALID):  # connections, caches and workers that a valid request makes are no growth
        await _send(port, next(source))
    memory, descriptors = part.memory(), part.descriptors()

    async def one_after_another() -> None:
        nonlocal made
        while made < count and time.monotonic() < began + seconds:
            made += 1
            data = next(source)
            answer = await _send(port, data)
            if (found := SERVER_ERROR.search(answer)) is not None:
                findings.append(_keep(name, data, f"status {found[1].decode()}: {answer[-200:]!r}"))

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    await asyncio.sleep(1)
    if part.child.poll() is not None:
        findings.append(f"the process ended with {part.child.poll()}: {part.said[-300:]}")
    else:
        if b"200 OK" not in (answer := await _send(port, _get(b"/health"), 5.0)):
            findings.append(f"it does not answer any more: {answer[:100]!r}")
        if (grown := part.memory() - memory) > MOST_GROWTH:
            findings.append(f"it grew by {grown / 2**20:.0f} MiB")
        if (more := part.descriptors() - descriptors) > MOST_DESCRIPTORS:
            findings.append(f"it holds {more} more descriptors")
    if "Traceback" in (said := part.said):
        findings.append(f"a traceback: {said[said.index('Traceback') :][:2000]}")
    return name, made, findings, time.monotonic() - began


async def _send(port: int, data: bytes, silence: float = SILENCE) -> bytes:
    """Return what a server answers to the bytes of a connection, until it is silent."""
    answer = bytearray()
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            half = len(data) // 2 if len(data) % 3 else len(data)
            writer.write(data[:half])
            await writer.drain()
            writer.write(data[half:])
            while len(answer) < MOST_ANSWER:
                part = await asyncio.wait_for(reader.read(65536), silence)
                if not part:
                    break
                answer += part
        finally:
            linger = struct.pack("ii", 1, 0)  # no port stays in TIME_WAIT
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
    return bytes(answer)


async def _answers(
    name: str, make: type[Http1Transport | AiohttpTransport], count: int, seconds: float, seed: int
) -> Result:
    (answers,) = (reader for reader in READERS if reader.name == "http_answer")
    source = cases([case[1:] for case in answers.seeds()], answers.words, 8192, Random(seed))
    began, made, findings = time.monotonic(), 0, []
    sent: dict[int, bytes] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            data = sent[0] = next(source)
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    transport: Transport = make(url, 4)
    try:
        while made < count and time.monotonic() < began + seconds:
            made += 1
            answer = Answer(limit=65536)
            try:
                async with asyncio.timeout(EXCHANGE_SECONDS):
                    await transport.exchange(Request("GET", "/v1/videos/video_1", silence=1.0), answer)
            except (TransportError, EnoughError) as refused:
                if not str(refused).strip() or "\n" in str(refused):
                    findings.append(_keep(name, sent[0], f"no line: {refused!r}"))
            except Exception as error:  # noqa: BLE001 - every other one is a finding
                findings.append(_keep(name, sent[0], f"{type(error).__name__}: {error}"))
    finally:
        await transport.close()
        server.close()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    if grown > MOST_GROWTH:
        findings.append(f"it grew by {grown / 2**20:.0f} MiB")
    return name, made, findings, time.monotonic() - began


def _keep(name: str, data: bytes, why: str) -> str:
    """Keep a case that the replay sends again, and return a line about it."""
    reader = "http_answer" if name.startswith("client") else name.partition(" ")[0]
    case = CORPUS / reader / hashlib.sha256(data).hexdigest()[:12]
    case.parent.mkdir(parents=True, exist_ok=True)
    case.write_bytes((b"\0" if reader == "http_answer" else b"") + data)
    return f"{case}: {why}"
