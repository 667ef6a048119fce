"""Signatures that lead back to a session: good for one connection, user, session, key and host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.auth.public_key import PublicKey
from qsh.auth.tickets import is_ticket_key, new_ticket_key, ticket_data, verify_ticket
from qsh.record import replace
from qsh.wire.userauth_messages import TicketRequest
from tests.key_making import RSA

SESSION_ID, USER, SESSION, HOST_KEY = b"i" * 64, "ada", b"0123456789abcdef", b"host key"
KEY, SIGN = new_ticket_key()


def request():
    signature = SIGN(ticket_data(SESSION_ID, USER, SESSION, KEY, HOST_KEY))
    return TicketRequest(SESSION, KEY, HOST_KEY, signature)


def test_a_good_one():
    assert verify_ticket(request(), SESSION_ID, USER)
    assert PublicKey.from_blob(KEY).algorithm == "ssh-ed25519"  # the formats are RFC 8709's


def test_anything_else_is_none():
    assert not verify_ticket(request(), b"j" * 64, USER)
    assert not verify_ticket(request(), SESSION_ID, "mallory")
    other, _ = new_ticket_key()
    for field, value in (
        ("session", b"f" * 16), ("key_blob", other), ("host_key", b"another"), ("signature", b""),
    ):  # fmt: skip
        assert not verify_ticket(replace(request(), **{field: value}), SESSION_ID, USER), field


def test_fields_do_not_run_into_each_other():
    assert ticket_data(b"ab", "c", b"", b"", b"") != ticket_data(b"a", "bc", b"", b"", b"")


def test_keys_are_of_one_kind():
    assert is_ticket_key(KEY)
    assert not is_ticket_key(RSA.public.blob)
    assert not is_ticket_key(KEY[:-1])


@given(st.binary(max_size=60), st.binary(max_size=90))
def test_garbage_is_no_error(key, signature):
    assert not verify_ticket(TicketRequest(SESSION, key, HOST_KEY, signature), SESSION_ID, USER)


@pytest.mark.parametrize("tail", [b"\xff" * 32, bytes(32)])
def test_points_that_are_none(tail):
    key = KEY[:-32] + tail
    assert not verify_ticket(replace(request(), key_blob=key), SESSION_ID, USER)
