"""What is checked of the job store before the service takes requests."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reelbench.service.store.start_check import StoreRefusedError, check


@asynccontextmanager
async def store(answers: dict[str, bytes]) -> AsyncIterator[str]:
    """A server that speaks Redis' protocol; commands without an answer here get OK."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(({"HELLO": HELLO} | answers).get(words[0].decode().upper(), b"+OK\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://:wrong@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


def info(policy: str) -> bytes:
    text = f"# Memory\r\nused_memory:1\r\nmaxmemory:1000\r\nmaxmemory_policy:{policy}\r\n".encode()
    return b"$%d\r\n%s\r\n" % (len(text), text)


HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"
PONG = b"+PONG\r\n"
WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
NOAUTH = b"-NOAUTH Authentication required.\r\n"
POLICY = "which it drops jobs when its memory is full; set maxmemory-policy noeviction there"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"HELLO": WRONG}, "refuses the access (invalid username-password pair or user is disabled)"),
        ({"PING": NOAUTH}, "refuses the access (Authentication required); correct user and password in SERVICE_REDIS"),
        ({"PING": PONG, "INFO": info("allkeys-lru")}, f"has the policy allkeys-lru, with {POLICY}."),
        ({"PING": PONG, "INFO": info("allkeys-random")}, f"has the policy allkeys-random, with {POLICY}."),
        ({"PING": PONG, "INFO": info("noeviction")}, None),
        ({"PING": PONG, "INFO": info("volatile-lru")}, None),
        ({"PING": PONG, "INFO": b"-NOPERM this user has no permissions to run the 'info' command\r\n"}, None),
        ({"PING": b"-LOADING the dataset is in memory\r\n"}, None),
    ],
)
async def test_a_store_that_refuses_or_drops_is_refused(answers: dict[str, bytes], reason: str | None) -> None:
    async with store(answers) as url:
        if reason is None:
            await check(url, 5)
        else:
            with pytest.raises(StoreRefusedError) as found:
                await check(url, 5)
            assert reason in str(found.value)
            assert "wrong@" not in str(found.value)


async def test_a_store_that_is_away_is_no_reason_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    await check(f"redis://127.0.0.1:{port}/0", 1)


@pytest.mark.extended
async def test_the_service_ends_with_one_sentence(tmp_path: Path) -> None:
    async with store({"PING": PONG, "INFO": info("allkeys-lru")}) as url:
        environment = os.environ | {"SERVICE_REDIS_URL": url, "SERVICE_DATA_DIR": str(tmp_path / "data")}
        command = [sys.executable, "-m", "reelbench.service", "--port", "0"]
        done = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
        _, said = await done.communicate()
    assert (done.returncode, said.decode()) == (2, f"The job store has the policy allkeys-lru, with {POLICY}.\n")
