"""Whether the Prometheus that answers is the one that was started, and not another one on its port."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reelbench.stack import http
from reelbench.stack.errors import PortTakenError

_FLAG = "storage.tsdb.path"
_TIMEOUT = 2.0


class _Flags(msgspec.Struct):
    data: dict[str, str]


def check_data(prometheus_url: str, data: Path) -> None:
    """Check that the Prometheus at an address has its data in a folder, which is that of one run.

    Raises:
        PortTakenError: it has other data, or is no Prometheus: another process has the port.
        StackError: nothing answers.
    """
    answer = http.get(f"{prometheus_url}/api/v1/status/flags", timeout=_TIMEOUT)
    try:
        found = msgspec.json.decode(answer.body, type=_Flags).data.get(_FLAG)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = None
    if found is None or Path(found).resolve() != data.resolve():
        raise PortTakenError(f"Another program answers at {prometheus_url}, where Prometheus was started; run again.")
