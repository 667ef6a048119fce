"""Audit records: their text, and the real kernel's answer."""

import os
import struct

import pytest

from qsh.server.accounts import audit
from qsh.server.accounts.audit import AuditType, login_text


def test_a_login():
    text = login_text("login", "alice", 1000, "192.0.2.1", is_good=True)
    assert text.startswith("op=login id=1000 exe=")
    assert text.endswith(" hostname=? addr=192.0.2.1 terminal=ssh res=success")


def test_failures():
    assert ' acct="alice" ' in login_text("login", "alice", 1000, "::1", is_good=False)
    unknown = login_text("login", "pass word", None, "::1", is_good=False)
    assert ' acct="(unknown)" ' in unknown
    assert unknown.endswith("res=failed")


@pytest.mark.parametrize("name", ['a" res=success', "a b", "a\nb", "ä", "\udcff"])
def test_names_cannot_forge_fields(name):
    text = login_text("login", name, 5, "::1", is_good=False)
    field = text.split("acct=")[1].split()[0]
    assert bytes.fromhex(field) == name.encode("utf-8", "surrogateescape")


def test_what_the_kernel_says():
    done = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, 0) + b"\0" * 16
    assert audit._is_taken(done)
    assert not audit._is_taken(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + b"\0" * 16)
    assert not audit._is_taken(b"short")


def test_the_real_kernel_answers_or_is_not_there():
    """Without rights, or with audit switched off, nothing happens, soon."""
    taken = audit.send(AuditType.USER_LOGIN, login_text("login", "x", 0, "::1", is_good=False))
    assert taken in (True, False)
    assert not (taken and os.geteuid() != 0)
