"""Entries for the journal, read from a socket as journald would."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh import log
from qsh.log import Level
from qsh.server import daemon_log
from qsh.server.journal import MAX_VALUE, entry


def parse(data):
    """As the protocol's description has it."""
    fields = {}
    while data:
        name, sign, rest = data.partition(b"\n") if b"=" not in data.split(b"\n")[0] else (
            data.partition(b"="))  # fmt: skip
        if sign == b"=":
            value, _, data = rest.partition(b"\n")
        else:
            length = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode("utf-8", "replace")
    return fields


@pytest.fixture
def journald(tmp_path, monkeypatch):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        before = log._output.fields
        monkeypatch.setattr(log._output, "fields", {})
        yield path, lambda: parse(sock.recv(65536))
        log._output.fields = before


NAMES = st.text("ABCXYZ_", min_size=1)


@given(st.dictionaries(NAMES, st.text(max_size=100)))
def test_entries_read_back(fields):
    fields = {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}
    assert parse(entry(fields)) == fields


def test_long_values_are_cut():
    assert len(parse(entry({"A": "x" * 100_000}))["A"]) == MAX_VALUE


def test_a_line_with_its_fields(journald):
    path, received = journald
    write = daemon_log.system_sink("AUTHPRIV", path)
    log.add_fields(QSH_USER="alice", QSH_HOST="")
    write(Level.ERROR, "qshd: Access denied")
    assert received() == {
        "MESSAGE": "Access denied", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "qshd",
        "SYSLOG_FACILITY": "10", "SYSLOG_PID": str(os.getpid()), "QSH_USER": "alice",
    }  # fmt: skip
    write(Level.DEBUG2, "debug2: x: y")
    assert received()["PRIORITY"] == "7"


def test_a_name_cannot_add_fields(journald):
    path, received = journald
    log.add_fields(QSH_USER="x\nQSH_USER=root")
    daemon_log.system_sink("AUTH", path)(Level.INFO, "qshd: line")
    fields = received()
    assert fields["QSH_USER"] == "x\nQSH_USER=root"


def test_a_journal_that_takes_nothing_holds_up_nobody(journald):
    path, received = journald
    write = daemon_log.system_sink("AUTH", path)
    for _ in range(5000):
        write(Level.INFO, "qshd: line")
    assert received()["MESSAGE"] == "line"
    os.remove(path)
    write(Level.INFO, "qshd: line")


def test_without_a_journal_there_is_syslog(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("syslog.syslog", lambda priority, text: lines.append((priority, text)))
    daemon_log.system_sink("AUTH", f"{tmp_path}/none")(Level.INFO, "qshd: line")
    assert lines == [(6, "line")]
