"""What the proofs of one login permit together, where AuthenticationMethods asks for several.

OpenSSH's sshauthopt_merge: the first one's particulars, and every restriction of either.
"""

from dataclasses import dataclass

from qsh.auth.authorized_keys import Permissions
from qsh.auth.public_key import PublicKey
from qsh.record import replace


@dataclass(frozen=True, slots=True)
class Given:
    """One proof that was good: its method as AuthenticationMethods has it, and its detail. Of a
    key also its blob, the algorithm it signed by, and what was demanded of the signature."""

    method: str
    detail: str = ""
    algorithm: str = ""
    key_blob: bytes = b""
    touched: bool = False
    verified: bool = False

    @property
    def named(self) -> str:
        """How the log names the method."""
        return f"{self.method}/{self.detail}" if self.detail else self.method

    @property
    def key(self) -> PublicKey | None:
        """The key, if it was one. Raises IdentityError for what is none."""
        return PublicKey.from_blob(self.key_blob) if self.key_blob else None

    @property
    def fingerprint(self) -> str:
        """The key's; empty if there was none."""
        key = self.key
        return key.fingerprint() if key is not None else ""


class ConflictError(Exception):
    """Two forced commands: neither may be passed over."""


def merged(first: Permissions | None, second: Permissions) -> Permissions:
    """The permissions of both. Raises ConflictError."""
    if first is None:
        return second
    commands = {command for command in (first.command, second.command) if command is not None}
    if len(commands) > 1:
        raise ConflictError("forced command options do not match")
    expiries = [when for when in (first.expires, second.expires) if when is not None]
    main, other = (first, second) if first.fingerprint else (second, first)
    return replace(
        main,
        command=next(iter(commands), None),
        environment=main.environment or other.environment,
        pty=first.pty and second.pty,
        agent_forwarding=first.agent_forwarding and second.agent_forwarding,
        port_forwarding=first.port_forwarding and second.port_forwarding,
        x11_forwarding=first.x11_forwarding and second.x11_forwarding,
        user_rc=first.user_rc and second.user_rc,
        permitopen=main.permitopen if main.permitopen is not None else other.permitopen,
        permitlisten=main.permitlisten if main.permitlisten is not None else other.permitlisten,
        tunnel=main.tunnel if main.tunnel is not None else other.tunnel,
        no_touch_required=first.no_touch_required and second.no_touch_required,
        verify_required=first.verify_required or second.verify_required,
        expires=min(expiries, default=None),
        sources=first.sources + second.sources,
        source_addresses=first.source_addresses + second.source_addresses,
    )


def only_to_change_password(permissions: Permissions) -> Permissions:
    """What is left of them while the password has expired: OpenSSH's auth_restrict_session."""
    return replace(
        permissions, agent_forwarding=False, port_forwarding=False, x11_forwarding=False,
        user_rc=False, environment=(),
    )  # fmt: skip
