"""``python -m reelbench.service.providers --host 127.0.0.1 --port 9000``: the mock providers as a process.

Standard output is the trace stream; all messages go to standard error.
"""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys

try:
    import pydantic
    import uvicorn

    from reelbench.handed_over import API_SOCKET, handed_over
    from reelbench.service import telemetry
    from reelbench.service.faults.faults import Faults
    from reelbench.service.faults.plan import Plan
    from reelbench.service.providers import metrics
    from reelbench.service.providers.app import Settings, create_app
    from reelbench.service.providers.exchange import OFFER
    from reelbench.service.providers.metrics import counting
except ModuleNotFoundError as error:
    sys.stderr.write(f"The providers need the package {error.name}; run pip install 'reelbench[embedded]'.\n")
    raise SystemExit(2) from error


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 for invalid settings or an unusable address."""
    parser = argparse.ArgumentParser(
        prog="python -m reelbench.service.providers", description="Mock LLM, TTS and image servers."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = Settings()
        settings.token()
        listener = handed_over(API_SOCKET) or _listen(asked.host, asked.port)
    except pydantic.ValidationError as error:
        print(f"The settings PROVIDERS_* cannot be used: {error}", file=sys.stderr)  # noqa: T201 - for the user
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the user
        return 2
    except OSError as error:
        print(  # noqa: T201 - for the user
            f"Cannot listen on {asked.host}:{asked.port}: {error.strerror}; choose another --port.", file=sys.stderr
        )
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn stops gracefully and raises the signal again; this handler makes that a normal exit with a flush.
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        telemetry.configure("providers")
        faults = Faults(OFFER)
        config = uvicorn.Config(
            create_app(settings, faults=faults),
            loop="uvloop",
            http=counting(metrics.create().connections),
            log_config=None,
            access_log=False,
            proxy_headers=False,  # X-Forwarded-For would make any caller one on this machine
            timeout_graceful_shutdown=1,
        )
        _Server(config, faults).run(sockets=[listener])
    finally:
        telemetry.shutdown()
    return 0


class _Server(uvicorn.Server):
    """A uvicorn server that ends stalled calls first at shutdown, because they can outlast the graceful shutdown."""

    def __init__(self, config: uvicorn.Config, faults: Faults) -> None:
        super().__init__(config)
        self._faults = faults

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._faults.replace(Plan())
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


if __name__ == "__main__":
    sys.exit(main())
