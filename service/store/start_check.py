"""Whether the job store can be used at all: checked once, before the service takes requests."""

from __future__ import annotations

import logging

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError, ResponseError

_log = logging.getLogger(__name__)
_EVICTS_ALL = "allkeys-"


class StoreRefusedError(Exception):
    """A store that would lose jobs or refuses the access; the message is one sentence with the cure."""


async def check(url: str, seconds: float) -> None:
    """Return for a usable store, and for one that is away: jobs are kept for it.

    Raises:
        StoreRefusedError: the store refuses user or password, or drops keys when its memory is full.
    """
    client = Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, decode_responses=True)
    try:
        await client.ping()
        policy = str((await client.info("memory")).get("maxmemory_policy", ""))
    except (AuthenticationError, AuthorizationError) as error:
        raise _refused(error) from error
    except NoPermissionError as error:
        _log.warning("The job store does not show its eviction policy (%s); it must be noeviction.", error)
        return
    except ResponseError as error:
        if str(error).startswith(("NOAUTH", "WRONGPASS", "invalid username-password")):
            raise _refused(error) from error
        _log.warning("The job store cannot be checked: %s.", error)
        return
    except (RedisError, OSError):
        return
    finally:
        await client.aclose()
    if policy.startswith(_EVICTS_ALL):
        raise StoreRefusedError(
            f"The job store has the policy {policy}, with which it drops jobs when its memory is full; set "
            "maxmemory-policy noeviction there."
        )


def _refused(error: Exception) -> StoreRefusedError:
    reason = " ".join(str(error).split())[:100].rstrip(".")
    return StoreRefusedError(
        f"The job store refuses the access ({reason}); correct user and password in SERVICE_REDIS_URL."
    )
