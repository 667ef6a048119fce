"""The little of X.509 that a client needs: a certificate's public key and its extensions.

Strict DER (X.690 section 10), standard library only: cryptography's parser costs 25 ms to import,
on the path of every connection. Nothing is believed here: the TLS engine has checked that the peer
holds this public key, and the attestation is signed.
"""

from qsh.errors import DecodeError

SEQUENCE, OBJECT_IDENTIFIER, OCTET_STRING, BOOLEAN, INTEGER = 0x30, 0x06, 0x04, 0x01, 0x02
VERSION, EXTENSIONS = 0xA0, 0xA3  # [0] and [3], constructed (RFC 5280 section 4.1)
V3 = b"\x02\x01\x02"


class Der:
    """Reads consecutive elements of definite length with one-byte tags."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def peek(self) -> int:
        """The next element's tag; -1 at the end."""
        return -1 if self.at_end else self._data[self._at]

    def take(self, tag: int) -> bytes:
        """The content of the next element. Raises DecodeError if its tag is another."""
        start, end = self._bounds(tag)
        self._at = end
        return self._data[start:end]

    def take_whole(self, tag: int) -> bytes:
        """The next element with its tag and length."""
        begin = self._at
        self.take(tag)
        return self._data[begin : self._at]

    def end(self) -> None:
        """Raises DecodeError if something follows."""
        if not self.at_end:
            raise DecodeError("bytes after the end of a DER element")

    def _bounds(self, tag: int) -> tuple[int, int]:
        header = self._data[self._at : self._at + 2]
        if len(header) < 2 or header[0] != tag:
            raise DecodeError(f"no DER element of type {tag:#04x} where one must be")
        start, length = self._at + 2, header[1]
        if length >= 0x80:
            count = length & 0x7F
            digits = self._data[start : start + count]
            length = int.from_bytes(digits, "big")
            start += count
            # Indefinite, over-long and non-minimal lengths are not DER.
            if not 1 <= count <= 3 or len(digits) < count or digits[0] == 0 or length < 0x80:
                raise DecodeError("a DER length that is not canonical")
        if start + length > len(self._data):
            raise DecodeError("a DER element is cut short")
        return start, start + length


def parse_certificate(certificate_der: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """SubjectPublicKeyInfo (its DER) and (OID's DER content, value) of each extension.

    Raises DecodeError.
    """
    outer = Der(certificate_der)
    certificate = Der(outer.take(SEQUENCE))
    outer.end()
    fields = Der(certificate.take(SEQUENCE))
    if fields.take(VERSION) != V3:
        raise DecodeError("a certificate that is not X.509 version 3")
    fields.take(INTEGER)  # serial number
    for _ in range(4):  # signature algorithm, issuer, validity, subject
        fields.take(SEQUENCE)
    spki_der = fields.take_whole(SEQUENCE)
    extensions = Der(fields.take(EXTENSIONS))
    fields.end()
    items = Der(extensions.take(SEQUENCE))
    extensions.end()
    found = []
    while not items.at_end:
        found.append(_extension(Der(items.take(SEQUENCE))))
    return spki_der, found


def _extension(item: Der) -> tuple[bytes, bytes]:
    oid = item.take(OBJECT_IDENTIFIER)
    if item.peek() == BOOLEAN:
        item.take(BOOLEAN)  # critical
    value = item.take(OCTET_STRING)
    item.end()
    return oid, value
