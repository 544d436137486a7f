"""``python -m reelbench.service``: the service as a process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

try:
    import uvicorn
    import uvloop
    from pydantic import ValidationError

    from reelbench.handed_over import API_SOCKET, handed_over
    from reelbench.service import telemetry
    from reelbench.service.api.app import create_app
    from reelbench.service.data_folder import DataFolderError
    from reelbench.service.http_limits import BoundedHttp
    from reelbench.service.settings import Settings
    from reelbench.service.store import start_check
    from reelbench.service.store.start_check import StoreRefusedError
except ModuleNotFoundError as error:
    sys.stderr.write(f"The service needs the package {error.name}; run pip install 'reelbench[embedded]'.\n")
    raise SystemExit(2) from error

_BACKLOG = 2048
"""Connections that wait to be accepted."""
_KEEP_ALIVE = 75
"""Seconds; longer than clients keep idle connections, so that none is closed during a request."""


class _Server(uvicorn.Server):
    """Ends the jobs before it waits for open requests, so that requests that wait for a job are answered at once."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = getattr(self.config.app.state, "service", None)  # type: ignore[union-attr]
        if state is not None:
            await state.jobs.close()
        await super().shutdown(sockets)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code: 0, or 2 for an invalid configuration."""
    parser = argparse.ArgumentParser(prog="python -m reelbench.service", description="The text-to-video service.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    options = parser.parse_args(arguments)
    # Standard output belongs to the trace exporter.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in (signal.SIGTERM, signal.SIGINT):
        # uvicorn handles the signals while it serves and raises them again afterwards, which must not kill the process.
        signal.signal(name, _exit)
    try:
        settings = Settings()
        if settings.redis_url:
            asyncio.run(start_check.check(settings.redis_url, settings.redis_timeout))
        telemetry.configure("service")
        app = create_app(settings)
        listener = handed_over(API_SOCKET) or socket.create_server((options.host, options.port))
        listener.listen(_BACKLOG)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            sys.stderr.write(f"SERVICE_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}.\n")
        return 2
    except (DataFolderError, StoreRefusedError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"The service cannot start on {options.host}:{options.port}: {error}.\n")
        return 2
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        http=BoundedHttp,
        proxy_headers=False,  # X-Forwarded-For would make any caller one on this machine
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(server.serve(sockets=[listener]))
    except SystemExit:
        pass
    finally:
        telemetry.shutdown()
    return 0 if server.started else 2


def _exit(*_: object) -> NoReturn:
    raise SystemExit(0)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for threads that are still busy.
    os._exit(code)
