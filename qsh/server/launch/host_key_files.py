"""The host's keys as HostKey, HostCertificate, HostKeyAgent and HostKeyAlgorithms name them.

Used in the process that holds them. What cannot be used is left out, with a complaint; a system
with one good key serves its users.
"""

import os
from dataclasses import dataclass

from qsh.auth.agent import Agent
from qsh.auth.blobs import ALGORITHMS
from qsh.auth.private_key import PrivateKey, load_private, public_of
from qsh.auth.public_key import PublicKey
from qsh.auth.signatures import login_algorithms, signature_algorithm
from qsh.config.values import AlgorithmList
from qsh.errors import IdentityError
from qsh.paths import expand_user, make_private, state_folder

OWN_KEY = "host_ed25519_key"
AGENT_TIMEOUT = 10.0
"""Seconds for an agent to list its keys."""


@dataclass(frozen=True, slots=True)
class HostKeyPlan:
    """Which keys there are to be."""

    paths: tuple[str, ...] = ()
    """None: the key of an installation without others, made if it is not there."""
    certificates: tuple[str, ...] = ()
    agent: str | None = None
    algorithms: AlgorithmList = AlgorithmList()  # noqa: RUF009


@dataclass(frozen=True, slots=True)
class UsableKey:
    """A key that can sign. `key.public` is what clients are shown: the certificate if it has one;
    `algorithm` is what it signs with."""

    key: PrivateKey
    algorithm: str

    def sign(self, data: bytes) -> bytes:
        """Raises IdentityError."""
        return self.key.sign(data, self.algorithm)


def load_keys(plan: HostKeyPlan) -> tuple[list[UsableKey], list[str]]:
    """The keys, the first one to attest, and what is wrong with others."""
    complaints: list[str] = []
    granted = _certificates(plan, complaints)
    in_agent = _AgentKeys.ask(plan.agent, complaints)
    keys = []
    for path in plan.paths or (own_key_path(),):
        try:
            key = _load(path, in_agent)
            fitting = [c for c in granted if c.is_certificate and c.plain == key.public]
            keys.append(_usable(key, fitting, plan.algorithms))
        except (IdentityError, OSError) as error:
            complaints.append(f"Unable to load host key {path}: {error}")
    return _in_order(keys, plan.algorithms), complaints


def _certificates(plan: HostKeyPlan, complaints: list[str]) -> list[PublicKey]:
    granted = []
    for path in plan.certificates:
        try:
            granted.append(PublicKey.from_file(path))
        except IdentityError as error:
            complaints.append(f"Could not load host certificate: {error}")
    return granted


def _load(path: str, in_agent: "_AgentKeys") -> PrivateKey:
    """The agent's key if it has this one. Raises IdentityError, OSError."""
    if path == own_key_path() and not os.path.exists(path):
        _generate(path)
    public = public_of(path) if in_agent.keys else None
    if public is not None and public in in_agent.keys:
        return PrivateKey(public, lambda data, algorithm: in_agent.sign(public, data, algorithm))
    return load_private(path)


def _usable(
    key: PrivateKey, certificates: list[PublicKey], wanted: AlgorithmList
) -> UsableKey:
    """Under its certificate, or plain if that alone is permitted. Raises IdentityError."""
    for public in (*certificates, key.public):
        names = [n for n in login_algorithms(public) if n in _permitted(wanted)]
        if names:
            shown = key if public is key.public else key.with_certificate(public)
            return UsableKey(shown, signature_algorithm(names[0]))
    raise IdentityError("HostKeyAlgorithms does not permit it")


def _permitted(wanted: AlgorithmList) -> tuple[str, ...]:
    rsa = [f"rsa-sha2-{bits}{end}" for bits in (512, 256) for end in ("", "-cert-v01@openssh.com")]
    return wanted.resolve((*sorted(ALGORITHMS - {"ssh-rsa"}), *rsa))


def _in_order(keys: list[UsableKey], wanted: AlgorithmList) -> list[UsableKey]:
    """That of the files, unless HostKeyAlgorithms names one itself."""
    if wanted.change not in ("", "^"):
        return keys
    names = _permitted(wanted)
    return sorted(
        keys, key=lambda one: min(map(names.index, set(login_algorithms(one.key.public))
                                      & set(names)))
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _AgentKeys:
    """What HostKeyAgent has. Each signature is asked for anew: an agent may be restarted."""

    path: str
    keys: frozenset[PublicKey] = frozenset()

    @classmethod
    def ask(cls, named: str | None, complaints: list[str]) -> "_AgentKeys":
        """Which keys it has; none without an agent."""
        if named is None:
            return cls("")
        try:
            path = _agent_path(named)
            with Agent(path, timeout=AGENT_TIMEOUT) as agent:
                return cls(path, frozenset(key for key, _ in agent.identities()))
        except (IdentityError, ValueError) as error:
            complaints.append(f"HostKeyAgent: {error}")
            return cls("")

    def sign(self, public: PublicKey, data: bytes, algorithm: str) -> bytes:
        """Raises IdentityError."""
        with Agent(self.path, timeout=AGENT_TIMEOUT) as agent:
            return agent.sign(public, data, algorithm)


def _agent_path(named: str) -> str:
    """Raises IdentityError, ValueError."""
    name = "SSH_AUTH_SOCK" if named == "SSH_AUTH_SOCK" else named[1:] if named[0] == "$" else ""
    if not name:
        return expand_user(named)
    if not os.environ.get(name):
        raise IdentityError(f"the environment has no {name}")
    return os.environ[name]


def own_key_path() -> str:
    """The key of an installation without others."""
    return f"{state_folder()}/{OWN_KEY}"


def _generate(path: str) -> None:
    """Make the key of an installation without others. Raises OSError."""
    from qsh.auth.generate import new_ed25519

    make_private(os.path.dirname(path))
    private, line = new_ed25519()
    for name, content, mode in ((f"{path}.pub", line.encode() + b"\n", 0o644),
                                (path, private, 0o600)):  # fmt: skip
        temporary = f"{name}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        os.replace(temporary, name)
