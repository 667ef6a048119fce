"""What is said over ssh to start a server: found among other output, and never half believed."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.errors import DecodeError
from qsh.wire.bootstrap import (
    BootstrapAnswer,
    BootstrapRequest,
    decode_request,
    encode_answer,
    encode_request,
    find_answer,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPGLCs/cg588wtYH049S2aiyokwev0nDf0fAsus2vfz6"
PORTS = st.integers(0, 65535)
ANSWER = BootstrapAnswer(60001, 4711, "alice", KEY)


@given(PORTS, PORTS)
def test_a_request_is_understood(one, two):
    request = BootstrapRequest(KEY, (min(one, two), max(one, two)))
    assert decode_request(encode_request(request)[:-2]) == request


@given(st.binary(max_size=300))
def test_the_answer_is_found_whatever_was_printed_before(noise):
    if b"qshd-bootstrap" not in noise:
        assert find_answer(noise + encode_answer(ANSWER)) == ANSWER
    assert find_answer(b"") is None


def test_half_a_line_is_no_answer():
    assert find_answer(encode_answer(ANSWER)[:-1]) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_one_error(data):
    with contextlib.suppress(DecodeError):
        decode_request(b"qsh-bootstrap 1\n" + data)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_one_error(data):
    with contextlib.suppress(DecodeError):
        find_answer(b"qshd-bootstrap 1 " + data + b"\n")


@pytest.mark.parametrize("line", [
    f"0 4711 alice {KEY}", f"65536 4711 alice {KEY}", f"60001 1 alice {KEY}",
    f"60001 4711 al\tice {KEY}", "60001 4711 alice ssh-rsa AAAA", f"60001 -5 alice {KEY}",
    f"60001 4711 alice {KEY} more", f"60001 4711 {KEY}",
])  # fmt: skip
def test_what_makes_no_sense_is_refused(line):
    with pytest.raises(DecodeError):
        find_answer(f"qshd-bootstrap 1 {line}\n".encode())


@pytest.mark.parametrize("text", [
    "", "qsh-bootstrap 2\n", f"qsh-bootstrap 1\nkey {KEY}", "qsh-bootstrap 1\nports 1 2",
    f"qsh-bootstrap 1\nkey {KEY}\nports 2 1", f"qsh-bootstrap 1\nkey {KEY} x\nports 1 2",
    f'qsh-bootstrap 1\nkey command="x" {KEY}\nports 1 2',
])  # fmt: skip
def test_a_request_without_sense_is_refused(text):
    with pytest.raises(DecodeError):
        decode_request(text.encode())
