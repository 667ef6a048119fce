"""Bodies of the channel requests that begin a session: RFC 4254 sections 6.2 to 6.5.

Data only. Apart from the others, since who rides on a master's connection needs these alone. The
registry is in channel_messages.
"""

from typing import ClassVar

from qsh.record import record
from qsh.wire.codec import UInt32


@record
class PtyRequest:
    """RFC 4254 section 6.2. `modes` are encoded as in section 8."""

    name: ClassVar[str] = "pty-req"
    term: str
    columns: UInt32
    rows: UInt32
    width_px: UInt32
    height_px: UInt32
    modes: bytes


@record
class EnvRequest:
    """RFC 4254 section 6.4."""

    name: ClassVar[str] = "env"
    variable: str
    value: str


@record
class ShellRequest:
    """RFC 4254 section 6.5."""

    name: ClassVar[str] = "shell"


@record
class ExecRequest:
    """RFC 4254 section 6.5."""

    name: ClassVar[str] = "exec"
    command: bytes


@record
class SubsystemRequest:
    """RFC 4254 section 6.5."""

    name: ClassVar[str] = "subsystem"
    subsystem: str
