"""DNS messages, as far as one question and the records that answer it (RFC 1035, 6891, 4035).

Sans-IO: bytes to values. Names in answers are only skipped, so that no pointer is ever followed.
"""

from qsh.errors import DecodeError
from qsh.record import record

IN = 1
SSHFP = 44
"""RFC 4255."""
_OPT = 41
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _AUTHENTIC = 0x8000, 0x0200, 0x0100, 0x0020
_HEADER = 12
UDP_PAYLOAD = 1232
"""Bytes of an answer that we take by UDP: fits every path."""
MAX_RECORDS = 64


@record
class DnsAnswer:
    """What a server said. `records` are the data of the records of the type asked for;
    `is_authentic` that the server has validated them (AD, RFC 4035 section 3.2.3)."""

    code: int
    is_truncated: bool
    is_authentic: bool
    records: tuple[bytes, ...]


def encode_query(number: int, name: str, kind: int) -> bytes:
    """A question with recursion; AD asks for the result of validation (RFC 6840 section 5.7).
    Raises ValueError for what is no name."""
    header = (number, _RECURSION_DESIRED | _AUTHENTIC, 1, 0, 0, 1)
    packed = b"".join(field.to_bytes(2, "big") for field in header)
    options = b"\0" + b"".join(n.to_bytes(2, "big") for n in (_OPT, UDP_PAYLOAD, 0, 0, 0))
    return packed + encode_question(name, kind) + options


def encode_question(name: str, kind: int) -> bytes:
    """Name, type and class. Raises ValueError."""
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    packed = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if not all(0 < len(label) < 64 for label in labels) or len(packed) > 255:
        raise ValueError(f"{name!r} is no domain name")
    return packed + kind.to_bytes(2, "big") + IN.to_bytes(2, "big")


def decode_answer(data: bytes, number: int, name: str, kind: int) -> DnsAnswer:
    """The answer to that very question. Raises DecodeError."""
    question = encode_question(name, kind)
    if len(data) < _HEADER or int.from_bytes(data[:2], "big") != number:
        raise DecodeError("not the answer to this question")
    flags, questions, answers = (int.from_bytes(data[at : at + 2], "big") for at in (2, 4, 6))
    end = _HEADER + len(question)
    if not flags & _RESPONSE or questions != 1 or data[_HEADER:end].lower() != question.lower():
        raise DecodeError("not the answer to this question")
    records = () if flags & _TRUNCATED else _records(data, end, answers, kind)
    return DnsAnswer(flags & 15, bool(flags & _TRUNCATED), bool(flags & _AUTHENTIC), records)


def _records(data: bytes, at: int, count: int, kind: int) -> tuple[bytes, ...]:
    found = []
    for _ in range(min(count, MAX_RECORDS)):
        at = _after_name(data, at)
        head, at = data[at : at + 10], at + 10
        length = int.from_bytes(head[8:10], "big")
        if len(head) < 10 or at + length > len(data):
            raise DecodeError("a DNS answer that ends too early")
        if int.from_bytes(head[:2], "big") == kind and int.from_bytes(head[2:4], "big") == IN:
            found.append(data[at : at + length])
        at += length
    return tuple(found)


def _after_name(data: bytes, at: int) -> int:
    """Where the name that begins there ends: at a pointer or the root."""
    while at < len(data):
        length = data[at]
        if length >= 192:
            return at + 2
        if length == 0:
            return at + 1
        at += 1 + length
    raise DecodeError("a DNS answer that ends too early")
