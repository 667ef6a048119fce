"""RevokedKeys and RevokedHostKeys: keys and certificates that must never be accepted again.

Two formats: text with one public key per line, and OpenSSH's binary KRL (PROTOCOL.krl), as
`ssh-keygen -k` writes it. Fails closed: a file that cannot be read or understood raises, and the
caller refuses every key.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from qsh.auth.public_key import PublicKey
from qsh.errors import ConfigError, DecodeError, IdentityError
from qsh.record import record
from qsh.wire.codec import Reader

MAX_FILE = 256 * 1024 * 1024
MAX_BITMAP = 0x20000
"""Bytes of one serial bitmap at most, as OpenSSH's."""

# From PROTOCOL.krl.
_MAGIC = b"SSHKRL\n\0"
_VERSION = 1
_CERTIFICATES = 1
_EXPLICIT_KEY = 2
_FINGERPRINT_SHA1 = 3
_SIGNATURE = 4
_FINGERPRINT_SHA256 = 5
_EXTENSION = 255
_SERIAL_LIST = 0x20
_SERIAL_RANGE = 0x21
_SERIAL_BITMAP = 0x22
_KEY_ID = 0x23
_CERTIFICATE_EXTENSION = 0x39


class RevocationList(Protocol):
    """What a file says."""

    def revokes(self, key: PublicKey) -> bool:
        """Whether the key, the key in the certificate, or the certificate is revoked. A
        certificate is also when its authority is."""


_Stamp = tuple[int, ...]
_known: dict[str, tuple[_Stamp, RevocationList]] = {}
"""What files said, with what fstat(2) said of them. A process that has parsed a list before it
forks spares its children that, for as long as the file stays what it was."""


def load_cached(path: str) -> RevocationList:
    """As `load`, but a file that has not changed is not read again. Raises ConfigError."""
    try:
        status = os.stat(path)  # noqa: PTH116  (pathlib costs start-up time)
    except (OSError, ValueError):
        _known.pop(path, None)
        return load(path)
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    found = _known.get(path)
    if found is None or found[0] != stamp:
        _known.pop(path, None)
        found = _known[path] = stamp, load(path)
    return found[1]


def load(path: str) -> RevocationList:
    """The list in a file, in either format. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise ConfigError(f"{path}: cannot read revoked keys: {reason}") from None
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path}: too long for a list of revoked keys")
    try:
        return parse(data)
    except DecodeError as e:
        raise ConfigError(f"{path}: malformed list of revoked keys: {e}") from None


def parse(data: bytes) -> RevocationList:
    """The list in the content of a file. Raises DecodeError."""
    return _parse_krl(data) if data.startswith(_MAGIC) else _parse_text(data)


def _blobs_of(key: PublicKey) -> Iterable[bytes]:
    yield key.blob
    if key.is_certificate:
        yield key.plain.blob
        yield key.authority.blob


@record
class _TextList:
    blobs: frozenset[bytes]

    def revokes(self, key: PublicKey) -> bool:
        return any(blob in self.blobs for blob in _blobs_of(key))


def _parse_text(data: bytes) -> _TextList:
    blobs = set()
    for number, line in enumerate(data.split(b"\n"), 1):
        content = line.strip()
        if content and not content.startswith(b"#"):
            try:
                blobs.add(PublicKey.from_line(content).blob)
            except IdentityError as e:
                raise DecodeError(f"line {number}: {e}") from None
    return _TextList(frozenset(blobs))


@dataclass(slots=True)
class _Issued:
    """What is revoked of one authority's certificates."""

    serials: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    bitmaps: list[tuple[int, int]] = field(default_factory=list)
    key_ids: set[bytes] = field(default_factory=set)

    def revokes(self, serial: int, key_id: str) -> bool:
        if key_id.encode("utf-8", "surrogateescape") in self.key_ids:
            return True
        if serial == 0:  # no serial number was given when it was signed
            return False
        return (
            serial in self.serials
            or any(low <= serial <= high for low, high in self.ranges)
            or any(serial >= base and bits >> (serial - base) & 1 for base, bits in self.bitmaps)
        )


@dataclass(slots=True)
class _BinaryList:
    blobs: set[bytes] = field(default_factory=set)
    sha1: set[bytes] = field(default_factory=set)
    sha256: set[bytes] = field(default_factory=set)
    issued: dict[bytes, _Issued] = field(default_factory=dict)

    def revokes(self, key: PublicKey) -> bool:
        for blob in _blobs_of(key):
            short = hashlib.sha1(blob, usedforsecurity=False).digest()
            if (
                blob in self.blobs
                or short in self.sha1
                or hashlib.sha256(blob).digest() in self.sha256
            ):
                return True
        certificate = key.certificate
        if certificate is None:
            return False
        # An empty authority stands for every one.
        lists = (self.issued.get(authority) for authority in (certificate.authority, b""))
        return any(i.revokes(certificate.serial, certificate.key_id) for i in lists if i)


def _parse_krl(data: bytes) -> _BinaryList:
    reader = Reader(data[len(_MAGIC) :])
    if reader.uint32() != _VERSION:
        raise DecodeError("unknown version of a key revocation list")
    for _ in range(3):  # its number, its date, flags
        reader.uint64()
    reader.string()  # reserved
    reader.string()  # comment
    found = _BinaryList()
    while not reader.at_end:
        kind = reader.byte()
        content = Reader(reader.string())
        if kind == _SIGNATURE:
            reader.string()  # the file is ours, so its signature proves nothing more
        elif kind == _CERTIFICATES:
            _read_certificates(content, found)
        elif kind == _EXTENSION:
            _read_extension(content)
        else:
            _set_of(kind, found).update(_strings(content))
    return found


def _set_of(kind: int, found: _BinaryList) -> set[bytes]:
    sets = {
        _EXPLICIT_KEY: found.blobs,
        _FINGERPRINT_SHA1: found.sha1,
        _FINGERPRINT_SHA256: found.sha256,
    }
    if kind not in sets:
        raise DecodeError(f"unknown section {kind}")
    return sets[kind]


def _strings(reader: Reader) -> Iterable[bytes]:
    while not reader.at_end:
        yield reader.string()


def _read_certificates(reader: Reader, found: _BinaryList) -> None:
    issued = found.issued.setdefault(reader.string(), _Issued())
    reader.string()  # reserved
    while not reader.at_end:
        kind = reader.byte()
        content = Reader(reader.string())
        if kind == _SERIAL_LIST:
            while not content.at_end:
                issued.serials.add(content.uint64())
        elif kind == _SERIAL_RANGE:
            issued.ranges.append((content.uint64(), content.uint64()))
            content.end()
        elif kind == _SERIAL_BITMAP:
            base, bits = content.uint64(), content.string()
            content.end()
            if len(bits) > MAX_BITMAP:
                raise DecodeError("bitmap is too long")
            issued.bitmaps.append((base, int.from_bytes(bits, "big")))
        elif kind == _KEY_ID:
            issued.key_ids.update(_strings(content))
        elif kind == _CERTIFICATE_EXTENSION:
            _read_extension(content)
        else:
            raise DecodeError(f"unknown certificate section {kind:#x}")


def _read_extension(reader: Reader) -> None:
    """Extensions say whether they must be understood; none is."""
    name, critical = reader.string(), reader.boolean()
    reader.string()
    reader.end()
    if critical:
        raise DecodeError(f"unknown critical extension {name[:64]!r}")
