"""PerSourcePenalties of sshd_config(5): who misbehaved must wait before the next connection.

OpenSSH's rules (srclimit.c): penalties of one source add up, bounded by `max`; below `min` they are
only remembered. Pure: time is a parameter.

Only a source that has shown to receive at its address is punished: over UDP anybody could
otherwise get others locked out by writing their addresses on his packets.
"""

from dataclasses import dataclass, field
from enum import Enum

from qsh.auth.patterns import PatternError, match_cidr_list
from qsh.config.server_settings import PerSourcePenalties
from qsh.server.listener.limits import source_block


class Offence(Enum):
    """What a connection did; values are what its monitor reports, by `REPORT`."""

    CRASH = b"c"
    AUTHFAIL = b"a"
    NOAUTH = b"n"
    GRACE = b"g"
    REFUSED = b"r"


REPORT = b"p"
"""What stands before an offence's value."""
_WORDS = {
    Offence.CRASH: "caused crash",
    Offence.AUTHFAIL: "failed authentication",
    Offence.NOAUTH: "connections without attempting authentication",
    Offence.GRACE: "exceeded LoginGraceTime",
    Offence.REFUSED: "connection prohibited by RefuseConnection",
}


def offence_of(report: bytes) -> Offence | None:
    """What a monitor reports; None for other news."""
    if not report.startswith(REPORT):
        return None
    try:
        return Offence(report[len(REPORT) :])
    except ValueError:
        return None


@dataclass(slots=True)
class _Record:
    expiry: float
    offence: Offence
    is_active: bool = False


@dataclass(slots=True)
class Penalties:
    """The sources that have misbehaved. `exempt` is PerSourcePenaltyExemptList."""

    rules: PerSourcePenalties | None
    exempt: str = ""
    ipv4_bits: int = 32
    ipv6_bits: int = 128
    _records: dict[str, _Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, host: str, offence: Offence, now: float) -> None:
        """A connection from there has ended so."""
        rules = self.rules
        seconds = self._seconds(offence)
        if rules is None or not seconds or self._is_exempt(host):
            return
        source = source_block(host, self.ipv4_bits, self.ipv6_bits)
        record = self._records.pop(source, None)
        if record is None:
            if not self._has_room(host, now):
                return
            record = _Record(now, offence)
        record.expiry = min(max(record.expiry, now) + seconds, now + rules.longest)
        record.offence = offence
        record.is_active = record.is_active or record.expiry - now > rules.shortest
        self._records[source] = record

    def refusal(self, host: str, now: float) -> str:
        """Why a newcomer from there is dropped, in sshd's words; empty if it may come."""
        if self.rules is None or not self._records or self._is_exempt(host):
            return ""
        source = source_block(host, self.ipv4_bits, self.ipv6_bits)
        record = self._records.get(source)
        if record is None:
            return self._overflow_refusal(host, now)
        if record.expiry < now:
            del self._records[source]
            return ""
        return f"penalty: {_WORDS[record.offence]}" if record.is_active else ""

    def _seconds(self, offence: Offence) -> float:
        rules = self.rules
        if rules is None:
            return 0.0
        return {
            Offence.CRASH: rules.crash, Offence.AUTHFAIL: rules.authfail,
            Offence.NOAUTH: rules.noauth, Offence.GRACE: rules.grace,
            Offence.REFUSED: rules.refused,
        }[offence]  # fmt: skip

    def _is_exempt(self, host: str) -> bool:
        try:
            return bool(self.exempt) and match_cidr_list(host, self.exempt)
        except PatternError:
            return False

    def _limits(self, host: str) -> tuple[int, str, int]:
        """How many records of this family there may be, what beyond that, and how many are."""
        assert self.rules is not None
        rules = self.rules
        is_v6 = ":" in host and "." not in host
        count = sum((":" in source) == is_v6 for source in self._records)
        if is_v6:
            return rules.most_ipv6, rules.overflow_ipv6, count
        return rules.most_ipv4, rules.overflow, count

    def _has_room(self, host: str, now: float) -> bool:
        """Whether there is room for one more record; made by forgetting the one that ends first
        where the rules say so."""
        assert self.rules is not None
        if len(self._records) < min(self.rules.most_ipv4, self.rules.most_ipv6):
            return True
        for source in [s for s, record in self._records.items() if record.expiry < now]:
            del self._records[source]
        most, overflow, count = self._limits(host)
        if count < most:
            return True
        if overflow == "deny-all":
            return False
        is_v6 = ":" in host and "." not in host
        family = [s for s in self._records if (":" in s) == is_v6]
        del self._records[min(family, key=lambda s: self._records[s].expiry)]
        return True

    def _overflow_refusal(self, host: str, now: float) -> str:
        """With deny-all nobody comes in while there are too many sources to remember."""
        assert self.rules is not None
        if len(self._records) < min(self.rules.most_ipv4, self.rules.most_ipv6):
            return ""
        most, overflow, count = self._limits(host)
        if overflow != "deny-all" or count < most:
            return ""
        return "" if self._has_room(host, now) else "penalty: too many sources with penalties"
