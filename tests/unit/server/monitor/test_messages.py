import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.server.monitor.messages import (
    REPLIES,
    REQUESTS,
    CheckLogin,
    LoginVerdict,
    StartSession,
    decode_pairs,
    encode_pairs,
)
from qsh.wire.codec import encode


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        (REQUESTS, CheckLogin(b"e" * 32, "alice", "ssh-connection", "publickey", b"body")),
        (REQUESTS, StartSession(1, b"cmd", True, "xterm", 80, 24, 1, 2, b"\0", b"")),
        (REPLIES, LoginVerdict(3, ("publickey",), "hello", True, ("LC_*",), 10)),
    ],
)
def test_there_and_back(registry, message):
    assert registry.decode(encode(message)) == message


@given(st.binary(max_size=100))
def test_any_bytes(data):
    for decode in (REQUESTS.decode, REPLIES.decode, decode_pairs):
        with contextlib.suppress(DecodeError):
            decode(data)


def test_pairs():
    pairs = [("LANG", "C"), ("EMPTY", "")]
    assert decode_pairs(encode_pairs(pairs)) == pairs
    with pytest.raises(DecodeError):
        decode_pairs(encode_pairs([("a", "b")] * 257))
