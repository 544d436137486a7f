"""Ends the faults of a load generator that died, also after SIGKILL.

Runs as a separate script with a pipe from the load generator as standard input. Each line is a JSON object: an entry
with an `id` is pending until a line ``{"done": id}``. The kernel closes the pipe when the load generator is gone; what
is pending then is done, the latest first: a command is run, a process group is ended, a proxy is removed.
The script imports only cheap modules and runs without `site`: it starts in about 20 ms.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

ATTEMPTS = 3
_PAUSE = 0.5


def main() -> None:
    """Read the pipe to its end, then do what is pending."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the guard must outlive the load generator
    pending: dict[int, dict[str, object]] = {}
    for line in sys.stdin.buffer:
        entry = json.loads(line)
        if "done" in entry:
            pending.pop(entry["done"], None)
        else:
            pending[entry["id"]] = entry
    for entry in reversed(pending.values()):
        with contextlib.suppress(Exception):  # one that fails must not keep the others from being done
            _settle(entry)


def _settle(entry: dict) -> None:  # type: ignore[type-arg] # no typing: the script starts without it
    if "argv" in entry:
        _run(entry)
    elif "group" in entry:
        os.killpg(entry["group"], signal.SIGKILL)
    elif "delete" in entry:
        from urllib.request import Request, urlopen  # noqa: PLC0415 - rarely needed, and slow to import

        urlopen(Request(entry["delete"], method="DELETE"), timeout=5).close()  # noqa: S310 - the proxy of this run


def _run(entry: dict) -> None:  # type: ignore[type-arg] # as above
    for attempt in range(ATTEMPTS):
        try:
            done = subprocess.run(
                entry["argv"],
                env=entry["env"],
                cwd=entry["directory"],
                timeout=entry["timeout"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
            how = f"exit status {done.returncode}"
        except subprocess.TimeoutExpired:
            how = f"no end within {entry['timeout']:g} s"
        except OSError as error:
            how = f"cannot be run: {error.strerror}"
        with contextlib.suppress(OSError), open(entry["output"], "a") as file:  # noqa: PTH123 - pathlib is slow to import
            file.write(f"The load generator died; its guard ran the stop command: {how}.\n")
        if how == "exit status 0":
            return
        time.sleep(_PAUSE * (attempt + 1))


if __name__ == "__main__":
    main()
