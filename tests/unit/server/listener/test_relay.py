import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.server.listener.relay import decode_relayed, encode_relayed


@pytest.mark.parametrize("remote", [("192.0.2.1", 1), ("2001:db8::1", 65535)])
def test_there_and_back(remote):
    assert decode_relayed(encode_relayed(b"data", remote)) == (b"data", remote)


@given(st.binary(max_size=60))
def test_any_bytes(data):
    with contextlib.suppress(DecodeError):
        decode_relayed(data)
