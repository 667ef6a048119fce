"""When a worker may ask its monitor for something: the terms of the monitor's table. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from qsh.auth.signing import EXPORTER_LENGTH, session_identifier


class NotPermitted(Exception):  # noqa: N818
    """The worker asked for what it may not have: it must be in a stranger's hands."""


class Stage(Enum):
    """What is going on with the login."""

    IDLE = auto()
    CHECKING = auto()
    """A login request is being judged; the worker waits for the verdict."""
    ASKING = auto()
    """The same, but it is the user's turn to answer."""


IDLE = frozenset({Stage.IDLE})


@dataclass(frozen=True, slots=True)
class Rule:
    """When a request is permitted. `times` is how often; None for any number."""

    answer: Callable[[Any, Any], Any]
    """The monitor's method, which takes the request."""
    times: int | None = None
    attested: bool = True
    """Only after the attestation was signed."""
    logged_in: bool | None = None
    """Only after the login, only before it, or (None) either way."""
    stages: frozenset[Stage] = frozenset(Stage)
    """Only then."""

    def check(
        self, name: str, count: int, stage: Stage, *, is_attested: bool, is_logged_in: bool
    ) -> None:
        """For the `count`th request of this kind. Raises NotPermitted."""
        if self.times is not None and count > self.times:
            raise NotPermitted(f"request {name} for the {count}th time")
        if self.attested and not is_attested:
            raise NotPermitted(f"request {name} before the attestation")
        if self.logged_in is not None and self.logged_in is not is_logged_in:
            when = "after" if is_logged_in else "before"
            raise NotPermitted(f"request {name} {when} the login")
        if stage not in self.stages:
            raise NotPermitted(f"request {name} while the login is {stage.name.lower()}")


def session_of(exporter: bytes, attestation: bytes) -> bytes:
    """The session identifier, from what a worker says of it. Raises NotPermitted."""
    if len(exporter) != EXPORTER_LENGTH:
        raise NotPermitted("an exporter of the wrong length")
    return session_identifier(exporter, attestation)
