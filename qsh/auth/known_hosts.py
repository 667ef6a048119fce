"""known_hosts: is this key the host's?

sshd(8) SSH_KNOWN_HOSTS FILE FORMAT with the decisions of OpenSSH's hostfile.c and sshconnect.c.
Lines are matched on raw blobs, so that the usual check imports no cryptography beyond hashlib.
Files are streamed: memory is bounded by what matches, a line by MAX_LINE.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum

from qsh.auth.blobs import algorithm_of, parse
from qsh.auth.patterns import Match, match_list
from qsh.auth.public_key import PublicKey, decode_base64
from qsh.errors import HostKeyError, IdentityError
from qsh.record import record

DEFAULT_PORT = 22
MAX_LINE = 64 * 1024
"""Longer lines are passed over: the longest key that counts needs 2.8 KB."""
MAX_ENTRIES = 4096
"""Lines kept for one host; nobody has more keys than that."""


class Kind(Enum):
    """What known_hosts says of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


class Marker(Enum):
    NONE = b""
    AUTHORITY = b"@cert-authority"
    REVOKED = b"@revoked"


@record
class Entry:
    """A line that names the host. `blob` is its key in wire form."""

    path: str
    line: int
    marker: Marker
    blob: bytes

    @property
    def key_type(self) -> str:
        return algorithm_of(self.blob)


@record
class Verdict:
    """The answer. `path` and `line` name the line that decided (line 0: none did).

    CHANGED with `other_types` empty: another key of the same type is known. CHANGED with names in
    it: only keys of these types are known, so ask the host to prove one of them
    (hostkeys-prove-00@openssh.com) before believing this one. UNKNOWN: the host has no line at all.
    `certificate_problem` says why a host certificate did not count and its plain key was looked up.
    """

    kind: Kind
    path: str = ""
    line: int = 0
    other_types: tuple[str, ...] = ()
    by_authority: bool = False
    certificate_problem: str = ""


def host_name(host: str, port: int) -> str:
    """The host as known_hosts has it: in lower case, `[host]:port` unless the port is 22."""
    return host.lower() if port in (0, DEFAULT_PORT) else f"[{host.lower()}]:{port}"


class KnownHosts:
    """Several files, and what KnownHostsCommand printed, asked as one."""

    def __init__(self, paths: Iterable[str], extra: Iterable[tuple[str, bytes]] = ()) -> None:
        self._paths = tuple(paths)
        self._extra = tuple(extra)
        self._found: dict[str, tuple[Entry, ...]] = {}

    def entries(self, host: str, port: int) -> tuple[Entry, ...]:
        """The lines that name `host` at `port`, marked ones too, in the order of the files."""
        self._look_up(host_name(host, port))
        return self._found[host_name(host, port)]

    def known_keys(self, host: str, port: int) -> tuple[PublicKey, ...]:
        """The host's plain keys; those of a line for any port if none is for this one."""
        self._look_up(host_name(host, port), host_name(host, 0))
        for name in (host_name(host, port), host_name(host, 0)):
            plain = [e for e in self._found[name] if e.marker is Marker.NONE]
            if plain:
                return tuple(PublicKey.from_blob(e.blob) for e in plain)
        return ()

    def check(
        self,
        host: str,
        port: int,
        address: str | None,
        key: PublicKey,
        now: float,
        *,
        alias: str | None = None,
        ca_algorithms: frozenset[str] | None = None,
    ) -> Verdict:
        """Whether `key` is the host's. `alias` is HostKeyAlias: looked up in the host's stead,
        without a port. `address` is given for CheckHostIP, else None: a key that is revoked or
        changed for the address is so for the host. `ca_algorithms` is CASignatureAlgorithms."""
        name = host_name(host, port) if alias is None else alias.lower()
        names = [name] if alias is not None else [name, host_name(host, 0)]
        by_address = host_name(address, port) if address and alias is None else None
        self._look_up(*names, *([by_address] if by_address else []))
        principal = (alias or host).lower()
        verdict = self._judge(name, principal, key, now, ca_algorithms)
        if verdict.kind is Kind.UNKNOWN and names[-1] != name:
            # As ssh: a line without a port may vouch, but not accuse.
            anywhere = self._judge(names[-1], principal, key, now, ca_algorithms)
            if anywhere.kind in (Kind.KNOWN, Kind.REVOKED):
                verdict = anywhere
        if by_address and verdict.kind in (Kind.KNOWN, Kind.UNKNOWN) and not verdict.by_authority:
            there = _check_plain(self._found[by_address], key.plain)
            if there.kind in (Kind.CHANGED, Kind.REVOKED):
                return there
        return verdict

    def _judge(
        self,
        name: str,
        principal: str,
        key: PublicKey,
        now: float,
        ca_algorithms: frozenset[str] | None,
    ) -> Verdict:
        entries = self._found[name]
        revoked = _revoking(entries, key)
        if revoked is not None:
            return Verdict(Kind.REVOKED, revoked.path, revoked.line)
        if not key.is_certificate:
            return _check_plain(entries, key)
        authority = key.authority.blob
        problem = "no authority for the host's certificate is known"
        for entry in entries:
            if entry.marker is Marker.AUTHORITY and entry.blob == authority:
                problem = _certificate_problem(key, principal, now, ca_algorithms)
                if not problem:
                    return Verdict(Kind.KNOWN, entry.path, entry.line, by_authority=True)
                break
        plain = _check_plain(entries, key.plain)
        return Verdict(
            plain.kind, plain.path, plain.line, plain.other_types, certificate_problem=problem
        )

    def _look_up(self, *names: str) -> None:
        """Read all sources once for those of the names that have not been looked up."""
        wanted = {name for name in names if name not in self._found}
        if not wanted:
            return
        found: dict[str, list[Entry]] = {name: [] for name in wanted}
        matcher = _Matcher(wanted)
        for path, lines in self._sources():
            for number, line in lines:
                _collect(path, number, line, matcher, found)
        self._found |= {name: tuple(entries) for name, entries in found.items()}

    def _sources(self) -> Iterator[tuple[str, Iterator[tuple[int, bytes]]]]:
        for path in self._paths:
            yield path, _file_lines(path)
        for path, text in self._extra:
            yield path, enumerate(text.split(b"\n"), 1)


def means_exactly(line: bytes, name: str, blobs: Collection[bytes]) -> bool:
    """Whether a line of a file is for this name alone, without marker, and bears one of the keys.
    `name` is as `host_name` has it."""
    found: dict[str, list[Entry]] = {name: []}
    if not set(line.split(b" ", 1)[0]) & set(b",*?!"):
        _collect("", 0, line, _Matcher((name,)), found)
    return any(e.marker is Marker.NONE and e.blob in blobs for e in found[name])


def load(paths: Iterable[str], extra: Iterable[tuple[str, bytes]] = ()) -> KnownHosts:
    """The files of UserKnownHostsFile and GlobalKnownHostsFile, in that order; those that are
    missing or cannot be read count as empty, as with ssh. `extra` are (name, content) of sources
    that are not files. Nothing is read before the first question."""
    return KnownHosts(paths, extra)


def _certificate_problem(
    key: PublicKey, principal: str, now: float, ca_algorithms: frozenset[str] | None
) -> str:
    """Why the certificate does not speak for the host; empty if it does."""
    from qsh.auth.blobs import CA_SIGNATURE_ALGORITHMS
    from qsh.auth.certificates import check_host_certificate

    allowed = CA_SIGNATURE_ALGORITHMS if ca_algorithms is None else ca_algorithms
    try:
        check_host_certificate(key, principal, now, allowed)
    except HostKeyError as e:
        return str(e)
    return ""


def _check_plain(entries: Iterable[Entry], key: PublicKey) -> Verdict:
    """KNOWN, CHANGED or UNKNOWN for a key that is not revoked and no certificate."""
    revoked = _revoking(entries, key)
    if revoked is not None:
        return Verdict(Kind.REVOKED, revoked.path, revoked.line)
    plain = [e for e in entries if e.marker is Marker.NONE]
    for entry in plain:
        if entry.blob == key.blob:
            return Verdict(Kind.KNOWN, entry.path, entry.line)
    if not plain:
        return Verdict(Kind.UNKNOWN)
    same = [e for e in plain if e.key_type == key.algorithm]
    blamed = (same or plain)[-1]
    others = () if same else tuple(dict.fromkeys(e.key_type for e in plain))
    return Verdict(Kind.CHANGED, blamed.path, blamed.line, others)


def _revoking(entries: Iterable[Entry], key: PublicKey) -> Entry | None:
    """The @revoked line against the key, the key in its certificate, or its authority."""
    blobs = {key.blob, key.plain.blob}
    if key.is_certificate:
        blobs.add(key.authority.blob)
    marked = (e for e in entries if e.marker is Marker.REVOKED)
    return next((e for e in marked if e.blob in blobs), None)


class _Matcher:
    """Which of some host names the first field of a line means."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.encode("utf-8", "surrogateescape"): name for name in names}

    def matching(self, hosts: bytes) -> list[str]:
        if hosts.startswith(b"|"):
            return [self._names[raw] for raw in _hashed_names(hosts, self._names)]
        if not any(c in hosts for c in b"*?!"):  # nearly every line: no need for patterns
            parts = hosts.lower().split(b",")
            return [name for raw, name in self._names.items() if raw in parts]
        patterns = hosts.decode("utf-8", "surrogateescape")
        return [n for n in self._names.values() if match_list(n, patterns, lower=True) is Match.YES]


def _hashed_names(hosts: bytes, names: Iterable[bytes]) -> Iterator[bytes]:
    """The names that `|1|salt|hash` means: HMAC-SHA1 of the name under the salt."""
    import hmac

    fields = hosts.split(b"|")
    if len(fields) != 4 or fields[1] != b"1" or len(fields[2]) > 1024:
        return
    try:
        salt, digest = decode_base64(fields[2]), decode_base64(fields[3])
    except IdentityError:
        return
    if len(salt) == 20:
        yield from (name for name in names if hmac.digest(salt, name, "sha1") == digest)


def _collect(
    path: str, number: int, line: bytes, matcher: _Matcher, found: dict[str, list[Entry]]
) -> None:
    """Put the line's key under each name that the line means."""
    fields = line.split(None, 4)
    if not fields or fields[0].startswith(b"#") or len(line) > MAX_LINE:
        return
    marker = Marker.NONE
    if fields[0].startswith(b"@"):
        if fields[0] not in (Marker.AUTHORITY.value, Marker.REVOKED.value):
            return
        marker = Marker(fields.pop(0))
    if len(fields) < 3:
        return
    names = matcher.matching(fields[0])
    if not names:
        return
    try:
        blob = decode_base64(fields[2])
        key = parse(blob)
    except IdentityError:
        return
    if key.algorithm.encode() != fields[1]:
        return
    if key.certificate is not None:
        if marker is not Marker.REVOKED:
            return
        blob = key.plain_blob  # as with ssh, its key is revoked
    for name in names:
        if len(found[name]) < MAX_ENTRIES:
            found[name].append(Entry(path, number, marker, blob))


def _file_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; of an over-long one only a piece that no longer counts."""
    try:
        with open(path, "rb") as file:
            yield from _numbered(file.readline)
    except (OSError, ValueError):
        return


def _numbered(readline: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := readline(MAX_LINE + 2):
        number += 1
        yield number, line
        while line and not line.endswith(b"\n"):
            line = readline(MAX_LINE)
