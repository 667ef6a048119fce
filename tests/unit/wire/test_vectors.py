"""The vectors in PROTOCOL.md are what the code writes, and what it reads."""

import ast
import re
from pathlib import Path

import pytest

from qsh.wire import (
    channel_messages,
    forward_messages,
    global_messages,
    session_messages,
    userauth_messages,
)
from qsh.wire.codec import decode_body, encode, encode_body
from qsh.wire.framing import frame

PROTOCOL = Path(__file__).parents[3] / "PROTOCOL.md"
NAMES = {
    **vars(channel_messages),
    **vars(forward_messages),
    **vars(global_messages),
    **vars(session_messages),
    **vars(userauth_messages),
    "encode_body": encode_body,
}


def vectors() -> list[tuple[str, bytes]]:
    [block] = re.findall(r"```vectors\n(.*?)```", PROTOCOL.read_text(), re.DOTALL)
    found: list[tuple[str, bytes]] = []
    for line in block.splitlines():
        if line.startswith("  "):
            text, stream = found.pop()
            found.append((text, stream + bytes.fromhex(line)))
        else:
            found.append((line, b""))
    return found


@pytest.mark.parametrize(("text", "stream"), vectors(), ids=lambda v: str(v)[:30])
def test_a_vector(text: str, stream: bytes) -> None:
    ast.parse(text, mode="eval")
    message = eval(text, {"__builtins__": {}}, NAMES)
    assert frame(encode(message)).hex() == stream.hex()
    assert decode_body(type(message), stream[5:]) == message
    assert stream[4] == message.number


def test_every_message_has_a_vector() -> None:
    registries = [channel_messages.CHANNEL, userauth_messages.TO_SERVER, global_messages.GLOBAL]
    registries += userauth_messages.TO_CLIENT.values()
    wanted = {cls.__name__ for registry in registries for cls in registry._types.values()}
    shown = {text.split("(")[0] for text, _ in vectors()}
    assert wanted - shown - {"Debug"} == set()
