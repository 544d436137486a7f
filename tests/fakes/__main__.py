"""A fake text-to-video server on loopback: ``python -m tests.fakes --server vllm_omni --port 8200``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from tests.fakes.clip import BAD_FILES
from tests.fakes.exposition import FAMILIES
from tests.fakes.generation import Load
from tests.fakes.manners import SERVERS, SWITCHES, manner
from tests.fakes.server import KEY, MODEL, Fake
from tests.fakes.serving import forever


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    load = Load()
    parser.add_argument("--server", choices=SERVERS, default="openai")
    parser.add_argument("--switch", action="append", choices=SWITCHES, default=[], help="single manner; repeatable")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=load.seconds, help="generation of a job")
    parser.add_argument("--seconds-per-step", type=float, default=load.seconds_per_step)
    parser.add_argument("--time-scale", type=float, default=load.time_scale, help="factor on the generation time")
    parser.add_argument("--slots", type=int, default=load.slots, help="jobs generated at the same time")
    parser.add_argument("--fail-every", type=int, default=load.fail_every, metavar="N")
    parser.add_argument("--lose-every", type=int, default=load.lose_every, metavar="N")
    parser.add_argument("--bad-file", choices=BAD_FILES)
    parser.add_argument("--bad-every", type=int, default=load.bad_every, metavar="N")
    parser.add_argument("--forget-after", type=float, metavar="SECONDS", help="the server removes ended jobs")
    parser.add_argument("--key", default=KEY, help="key that is accepted where the server requires one")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--metrics", action="append", choices=FAMILIES, help="families on /metrics; repeatable")
    return parser


def main() -> None:
    """Serve until killed."""
    options = _parser().parse_args()
    load = Load(
        seconds=options.seconds,
        seconds_per_step=options.seconds_per_step,
        time_scale=options.time_scale,
        slots=options.slots,
        fail_every=options.fail_every,
        lose_every=options.lose_every,
        bad_file=options.bad_file,
        bad_every=options.bad_every,
        forget_after=options.forget_after,
    )
    changes = {} if options.metrics is None else {"metrics": frozenset(options.metrics)}
    fake = Fake(manner(options.server, options.switch, **changes), load, key=options.key, model=options.model)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forever(fake, options.port))


if __name__ == "__main__":
    main()
