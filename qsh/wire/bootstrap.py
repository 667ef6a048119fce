"""What client and `qshd --bootstrap` tell each other over ssh (PROTOCOL.md section 9).

Lines of text, since start-up files of the user's may print before them: the client's request on
standard input, the answer on standard output.

    qsh-bootstrap 1
    key ssh-ed25519 AAAA…
    ports 60001 60999
                                                    (an empty line)
    qshd-bootstrap 1 60001 4711 alice ssh-ed25519 AAAA…
    taken                                           (the client has read it)
"""

import re

from qsh.errors import DecodeError
from qsh.record import record

VERSION = 1
TAKEN = b"taken\n"
"""What the client says to an answer. Without it the server ends at once."""
MOST = 64 * 1024
"""Bytes that are read in search of an answer; far less than that makes a request."""
_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{64,100}={0,2}")
_USER = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}")
_PORT_LIMIT = 65536
_PID_LIMIT = 2**31


@record
class BootstrapRequest:
    """`key` may log in (`ssh-ed25519 base64`); `ports` are the first and the last UDP port that
    may be used, 0 and 0 for any."""

    key: str
    ports: tuple[int, int]


@record
class BootstrapAnswer:
    """Where the server is: its UDP port, the process ID whose end ends it, the account, and the
    host key (`ssh-ed25519 base64`)."""

    port: int
    pid: int
    user: str
    host_key: str


def encode_request(request: BootstrapRequest) -> bytes:
    """The lines, with the empty one at their end."""
    first, last = request.ports
    return f"qsh-bootstrap {VERSION}\nkey {request.key}\nports {first} {last}\n\n".encode()


def decode_request(text: bytes) -> BootstrapRequest:
    """The opposite. Raises DecodeError."""
    lines = _text(text).split("\n")
    if lines[0] != f"qsh-bootstrap {VERSION}":
        raise DecodeError("no request for a bootstrap, or one of another version")
    values = dict(line.partition(" ")[::2] for line in lines[1:])
    key, ports = values.get("key", ""), values.get("ports", "").split(" ")
    if not _KEY.fullmatch(key):
        raise DecodeError("a bootstrap without a key")
    if len(ports) != 2:
        raise DecodeError("a bootstrap without ports")
    first, last = (_number(port, _PORT_LIMIT) for port in ports)
    if first > last:
        raise DecodeError("a range of ports that ends before it begins")
    return BootstrapRequest(key, (first, last))


def encode_answer(answer: BootstrapAnswer) -> bytes:
    """On a line of its own, whatever was printed before."""
    return (f"\nqshd-bootstrap {VERSION} {answer.port} {answer.pid} {answer.user} "
            f"{answer.host_key}\n").encode()  # fmt: skip


def find_answer(text: bytes) -> BootstrapAnswer | None:
    """The answer among whole lines of other output; None if there is none yet. Raises
    DecodeError for one that makes no sense."""
    head = f"qshd-bootstrap {VERSION} ".encode()
    for line in text.split(b"\n")[:-1]:
        if line.startswith(head):
            return _decode_answer(_text(line[len(head) :].rstrip(b"\r")))
    return None


def _decode_answer(text: str) -> BootstrapAnswer:
    words = text.split(" ", 3)
    if len(words) != 4 or not _USER.fullmatch(words[2]) or not _KEY.fullmatch(words[3]):
        raise DecodeError("an answer to a bootstrap that makes no sense")
    port, pid = _number(words[0], _PORT_LIMIT), _number(words[1], _PID_LIMIT)
    if not port or pid < 2:
        raise DecodeError("an answer to a bootstrap with impossible numbers")
    return BootstrapAnswer(port, pid, words[2], words[3])


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DecodeError("a bootstrap that is no text") from None


def _number(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 11) or int(text) >= limit:
        raise DecodeError("a bootstrap with a bad number")
    return int(text)
