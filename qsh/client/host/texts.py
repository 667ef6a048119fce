"""What the user reads about a host's key: questions, warnings, refusals. Pure text.

In the spirit of ssh(1), which people have learnt to read; the fingerprint is ssh-keygen's.
"""

from qsh.auth.known_hosts import DEFAULT_PORT, Verdict
from qsh.auth.public_key import PublicKey
from qsh.record import record

FRAME = "@" * 59


@record
class HostFacts:
    """Which host, and which key it showed."""

    name: str
    """As known_hosts has it, without port: the host's name or HostKeyAlias."""
    port: int
    """DEFAULT_PORT for an alias."""
    address: str
    key: PublicKey
    hash_name: str = "sha256"
    """FingerprintHash."""
    draws: bool = False
    """VisualHostKey."""

    @property
    def shown(self) -> str:
        """`name`, or `[name]:port` if the port is another one."""
        return self.name if self.port == DEFAULT_PORT else f"[{self.name}]:{self.port}"

    @property
    def kind(self) -> str:
        """ED25519, RSA, …: of the key, also in a certificate."""
        return self.key.plain.key_type_name

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -lf` prints it."""
        return self.key.fingerprint(self.hash_name)


def question(facts: HostFacts, verdict: Verdict, dns_says: str = "") -> str:
    """What is said before the user decides about an unknown host."""
    address = "" if facts.address == facts.name else f" ({facts.address})"
    lines = [f"The authenticity of host '{facts.shown}{address}' can't be established."]
    if verdict.certificate_problem:
        lines.append(f"Its certificate does not vouch for it: {verdict.certificate_problem}.")
    lines.append(f"{facts.kind} key fingerprint is {facts.fingerprint}.")
    lines += picture(facts) if facts.draws else []
    lines += [dns_says] if dns_says else []
    return "\n".join(lines)


IN_DNS = "Matching host key fingerprint found in DNS."
NOT_IN_DNS = "No matching host key fingerprint found in DNS."
PROMPT = "Are you sure you want to continue connecting (yes/no/[fingerprint])? "
PROMPT_AGAIN = "Please type 'yes', 'no' or the fingerprint: "


def added(facts: HostFacts) -> str:
    """The host is now in the file."""
    return f"permanently added '{facts.shown}' ({facts.kind}) to the list of known hosts"


def added_address(facts: HostFacts) -> str:
    """The same for its address (CheckHostIP)."""
    return f"permanently added the {facts.kind} host key for the address {facts.address}"


def other_in_dns(facts: HostFacts) -> str:
    """The DNS has fingerprints of the host's keys, and not of this one."""
    return "\n".join([
        FRAME,
        "@       WARNING: THE DNS HAS ANOTHER HOST KEY             @",
        FRAME,
        f"The {facts.kind} key of {facts.shown}, {facts.fingerprint},",
        "is none of those whose fingerprints (SSHFP) the DNS has. If it is right, the records are",
        "to be updated.",
    ])


def changed(facts: HostFacts, verdict: Verdict) -> str:
    """The warning for another key than the known one."""
    lines = [
        FRAME,
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
        FRAME,
        "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!",
        "Someone could be between you and the host right now (man-in-the-middle attack), or the",
        "host may just have got a new key.",
        f"The fingerprint of the {facts.kind} key sent by the remote host is",
        f"{facts.fingerprint}.",
    ]
    lines += picture(facts) if facts.draws else []
    if verdict.other_types:
        lines.append(f"Only keys of other types are known for it ({_types(verdict)}), and the "
                     "host did not prove to have one.")
    return "\n".join([
        *lines,
        "Ask the host's administrator; if the new key is right, remove the old one.",
        f"Offending key in {verdict.path}:{verdict.line}",
        "  remove with:",
        f"  {removal(facts, verdict.path)}",
    ])


def removal(facts: HostFacts, path: str) -> str:
    """The ssh-keygen command that forgets the host."""
    return f'ssh-keygen -f "{path}" -R "{facts.shown}"'


def revoked(facts: HostFacts, path: str, line: int) -> str:
    """The warning for a key that must not be used any more. Line 0: the whole file says so."""
    where = f"{path}:{line}" if line else path
    return "\n".join([
        FRAME,
        "@       WARNING: REVOKED HOST KEY DETECTED!               @",
        FRAME,
        f"The {facts.kind} host key of {facts.shown} is marked as revoked.",
        f"This could mean that a stolen key is being used to impersonate the host ({where}).",
    ])


def picture(facts: HostFacts) -> list[str]:
    """The fingerprint as ssh-keygen -lv draws it."""
    from hashlib import new

    from qsh.client.host.randomart import randomart

    digest = new(facts.hash_name, facts.key.plain.blob, usedforsecurity=False).digest()
    return randomart(digest, f"{facts.kind} {facts.key.bits}", facts.hash_name.upper())


def _types(verdict: Verdict) -> str:
    return ", ".join(verdict.other_types)
