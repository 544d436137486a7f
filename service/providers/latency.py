"""Seeded latency of a provider.

The latency depends on the seed, the provider, the content of the request and the number of earlier requests with the
same content. It does not depend on the order of different requests, so a run is reproducible at any concurrency, and a
retry gets another latency.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from hashlib import blake2b
from statistics import NormalDist

from pydantic import BaseModel, Field

_NORMAL = NormalDist()
_REMEMBERED = 65_536
"""Maximum number of contents per provider whose requests are counted; bounds the memory of a long run."""


class Lognormal(BaseModel, frozen=True):
    """A lognormal distribution: median in seconds, sigma of the natural logarithm."""

    median: float = Field(gt=0, le=600)
    sigma: float = Field(default=0.25, ge=0, le=3)

    def quantile(self, probability: float) -> float:
        """Return the quantile in seconds at `probability`, above 0 and below 1."""
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(probability))


class Latency:
    """The latencies of one provider."""

    def __init__(self, provider: str, distribution: Lognormal, seed: int) -> None:
        self._distribution = distribution
        self._key = f"{seed}/{provider}".encode()
        self._ordinals: OrderedDict[bytes, int] = OrderedDict()

    def next(self, content: bytes, scale: float = 1.0) -> float:
        """Return the latency in seconds of the next request with this content."""
        digest = blake2b(content, digest_size=16, key=blake2b(self._key).digest()).digest()
        ordinal = self._ordinals.pop(digest, 0)
        self._ordinals[digest] = ordinal + 1
        if len(self._ordinals) > _REMEMBERED:
            self._ordinals.popitem(last=False)
        drawn = blake2b(digest + ordinal.to_bytes(8, "big"), digest_size=8).digest()
        uniform = ((int.from_bytes(drawn, "big") >> 11) + 0.5) / (1 << 53)  # 53 bits, never 0 or 1
        return scale * self._distribution.quantile(uniform)
