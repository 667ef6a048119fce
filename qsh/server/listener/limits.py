"""How many strangers may knock at once: MaxStartups and the limits per source.

Pure: connections come and go by calls, time and chance are parameters.
"""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

from qsh.config.server_settings import MaxStartups

HANDSHAKE_TIMEOUT = 15.0
"""Seconds for QUIC's handshake. Our own: sshd needs none, since nobody can fake a TCP handshake's
address, while a forged Initial would hold a worker for all of LoginGraceTime."""
GRACE_MARGIN = 2.0
"""Seconds between the worker's own end of LoginGraceTime, which tells the client, and the
monitor's, which kills a worker that did not go."""
RETRY_SHARE = 2
"""Retry is asked of everybody once 1/RETRY_SHARE of MaxStartups' first number is in use."""


@dataclass(slots=True)
class Startups:
    """The connections that have not logged in yet. `per_source`, `ipv4_bits` and `ipv6_bits` are
    PerSourceMaxStartups and PerSourceNetBlockSize of sshd_config(5)."""

    limits: MaxStartups
    per_source: int | None = None
    ipv4_bits: int = 32
    ipv6_bits: int = 128
    _sources: dict[int, str] = field(default_factory=dict)
    _per_source: Counter[str] = field(default_factory=Counter)
    dropped: int = 0

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def wants_retry(self) -> bool:
        """Whether newcomers must show first that they receive at their address."""
        return len(self) >= max(1, self.limits.begin // RETRY_SHARE)

    def refusal(self, host: str, roll: int) -> str:
        """Why a newcomer from this address is dropped; empty if it may come.

        `roll`, 0 to 99, is the newcomer's luck: derive it from its connection ID, so that its
        repeated Initials share one fate.
        """
        limits = self.limits
        count = len(self)
        source = source_block(host, self.ipv4_bits, self.ipv6_bits)
        if self.per_source is not None and self._per_source[source] >= self.per_source:
            return "per-source limit"
        if count < limits.begin:
            return ""
        if count >= limits.full or limits.rate >= 100:
            return "Maxstartups"
        share = (100 - limits.rate) * (count - limits.begin) // (limits.full - limits.begin)
        return "Maxstartups" if roll < limits.rate + share else ""

    def add(self, number: int, host: str) -> None:
        """A connection begins."""
        source = source_block(host, self.ipv4_bits, self.ipv6_bits)
        self._sources[number] = source
        self._per_source[source] += 1

    def remove(self, number: int) -> None:
        """It has logged in, or ended; calling it again does nothing."""
        source = self._sources.pop(number, None)
        if source is not None:
            self._per_source[source] -= 1
            if not self._per_source[source]:
                del self._per_source[source]


def source_block(host: str, ipv4_bits: int, ipv6_bits: int) -> str:
    """The network that an address counts for; an IPv4 address within IPv6 counts as IPv4."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = ipv4_bits if address.version == 4 else ipv6_bits
    return str(ip_network((address, bits), strict=False))


@dataclass(slots=True)
class RateLimit:
    """A bucket of `burst` tokens that fills with `rate` tokens per second."""

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _last: float | None = None

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def allows(self, now: float) -> bool:
        """Take one token if there is one."""
        if self._last is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._last) * self.rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
