"""Proxy mode: what a client may say, and what becomes of nonsense. The course: test_mux.py."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.client.master.proxied import MAX_LENGTH, ProxiedClient
from qsh.errors import DecodeError, RequestError
from qsh.wire.codec import Writer
from tests.pair import Pair, run


def packet(payload, padding=0):
    return ((1 + len(payload) + padding).to_bytes(4, "big") + bytes((padding,)) + payload
            + bytes(padding))  # fmt: skip


async def no_forwards():
    raise RequestError("none here")


def said_to(*data):
    """What a client that says this gets, on a connection that is there."""
    answers = []

    async def write(data):
        answers.append(data)

    async def main():
        async with Pair() as both:
            await both.log_in()
            client = ProxiedClient(both.client, write, no_forwards)
            try:
                for piece in data:
                    await client.receive(piece)
                await asyncio.sleep(0.1)  # answers to requests come later
            finally:
                await client.close()

    run(main())
    return answers


def test_what_is_no_business_of_its_is_refused():
    keepalive = b"\x50" + Writer().text("keepalive@openssh.com").boolean(True).finish()
    tunnel = b"\x5a" + Writer().text("tun@openssh.com").uint32(7).uint32(1).uint32(1).finish()
    whole = packet(keepalive, padding=4) + packet(tunnel)
    refused, failure = sorted(said_to(whole[:3], whole[3:]), key=len)
    assert refused == packet(b"\x52", padding=3)  # ssh(1) takes no shorter one
    assert failure[5:10] == b"\x5c" + (7).to_bytes(4, "big")


@pytest.mark.parametrize(
    "data",
    [bytes(4), (1).to_bytes(4, "big"), (MAX_LENGTH + 1).to_bytes(4, "big"), packet(b"", 3),
     packet(b"\x01"), packet(b"\x14"), packet(b"\x5a\0"), packet(b"\x5b"), b"\0\0\0\x02\x09x"],
)  # fmt: skip
def test_nonsense_ends_it(data):
    with pytest.raises(DecodeError):
        said_to(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_give_answers_or_one_error(payloads):
    with contextlib.suppress(DecodeError):
        said_to(*(packet(payload) for payload in payloads))
