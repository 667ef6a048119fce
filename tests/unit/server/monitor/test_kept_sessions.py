"""The table of sessions that are kept: who sees what, and what hostile holders can do to it."""

import dataclasses
import errno
import os
import threading
from pathlib import Path

import pytest

from qsh.auth.authorized_keys import Permissions
from qsh.config.server_settings import ServerSettings
from qsh.server.accounts.accounts import own_account
from qsh.server.accounts.environment import Peers
from qsh.server.holder.door import Described
from qsh.server.monitor.kept_sessions import KeptSessions, NotKeptError
from qsh.server.monitor.login_check import Login
from qsh.server.monitor.messages import SessionKind, StartSession
from qsh.server.monitor.sessions import SessionRefusedError, Sessions, plan_session
from qsh.wire.codec import Reader, decode_body, encode
from qsh.wire.session_messages import SessionEntry

PEERS = Peers(("192.0.2.1", 4242), ("198.51.100.1", 22))
SECRET = b"backup --password=sesame"


@pytest.fixture
def kept(tmp_path):
    return KeptSessions(str(tmp_path))


@pytest.fixture
def begin(kept):
    """Begin a session; its holder answers every knock with `described`, or never."""
    doors = []

    def begin(login, number, command, described=None):
        asked = StartSession(SessionKind.EXEC, command, False, "", 0, 0, 0, 0, b"", b"")
        plan = plan_session(login, asked, PEERS, None)
        keeping = kept.keeping(login, number, "", has_terminal=False)
        about, door = kept.open(dataclasses.replace(plan, keeping=keeping), login, number)
        doors.append(door)
        if described is not None:
            door.setblocking(True)
            threading.Thread(target=_answer, args=(door, described), daemon=True).start()
        return about

    yield begin
    for door in doors:
        door.shutdown(2)
        door.close()


def _answer(door, described):
    while True:
        try:
            knock, _ = door.accept()
        except OSError:
            return
        with knock:
            knock.recv(4096)
            knock.send(encode(described))


def login(command=None, proof=""):
    settings = ServerSettings(command_timeout=60.0)
    return Login(own_account(), Permissions(command=command), settings, proof=proof)


def listed(kept, who):
    reader, found = Reader(kept.entries(kept.of_login(who))), []
    while not reader.at_end:
        found.append(decode_body(SessionEntry, reader.string()))
    return found


def test_a_key_bound_to_a_command_hears_of_no_other_sessions(kept, begin):
    well = Described(False, "", 0)
    begin(login(), bytes(16), SECRET, well)
    bound = login(b"menu")
    begin(bound, b"m" * 16, b"", well)
    assert {entry.command for entry in listed(kept, login())} == {SECRET.decode(), "menu"}
    assert [entry.command for entry in listed(kept, bound)] == ["menu"]
    assert kept.find(bound, "").forced == b"menu"
    with pytest.raises(NotKeptError):
        kept.find(bound, bytes(16).hex())


def test_people_who_share_an_account_and_its_command_do_not_share_sessions(kept, begin):
    alice, bob = (login(b"git-shell", f"publickey SHA256:{name}\n") for name in ("a", "b"))
    begun = begin(alice, bytes(16), b"git-upload-pack x", Described(False, "", 0))
    assert listed(kept, bob) == []
    for which in ("", begun.session.hex()):
        assert kept.find(alice, which) == begun
        with pytest.raises(NotKeptError):
            kept.find(bob, which)
    assert kept.find(login(), "") == begun  # who may do anything as this user


def test_a_holder_that_lies_about_its_age_does_no_harm(kept, begin):
    begin(login(), bytes(16), b"x", Described(False, "", 0xFFFFFFFF))
    (entry,) = listed(kept, login())
    assert entry.alone_since > 0


def test_what_does_not_start_leaves_nothing_behind(kept, monkeypatch):
    """A holder that could not be forked."""

    def fork():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    asked = StartSession(SessionKind.EXEC, b"x", False, "", 0, 0, 0, 0, b"", b"",
                         session=bytes(16), label="")  # fmt: skip
    sessions = Sessions(PEERS, None, kept)
    with pytest.raises(SessionRefusedError):
        sessions.start(login(), asked)
    assert os.listdir(kept.folder) == []


def test_a_door_that_cannot_be_made_leaves_nothing_behind(kept, begin):
    about = begin(login(), bytes(16), b"x")
    kept_file = Path(f"{kept.folder}/{about.name}.about")
    kept_file.unlink()  # its door is still there
    with pytest.raises(OSError, match="in use"):
        begin(login(), bytes(16), b"x")
    assert not kept_file.exists()
