"""utmp, wtmp and btmp, read back by the system's own programs."""

import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsh.server.accounts.utmp import (
    RECORD_SIZE,
    Record,
    RecordType,
    record_failure,
    record_login,
    record_logout,
)

LOGIN = Record(RecordType.USER_PROCESS, 4242, "pts/7", "alice", "h.example.org", "192.0.2.1", 1.7e9)


@pytest.fixture
def files(tmp_path):
    utmp, wtmp = tmp_path / "utmp", tmp_path / "wtmp"
    utmp.touch()
    wtmp.touch()
    return utmp, wtmp


def records(path):
    data = path.read_bytes()
    assert len(data) % RECORD_SIZE == 0
    return [Record.decode(data[at : at + RECORD_SIZE]) for at in range(0, len(data), RECORD_SIZE)]


def test_login_and_logout(files):
    utmp, wtmp = files
    record_login(LOGIN, str(utmp), str(wtmp))
    (entry,) = records(utmp)
    assert (entry.user, entry.line, entry.pid) == ("alice", "pts/7", 4242)
    record_logout(LOGIN, 1.7e9 + 60, str(utmp), str(wtmp))
    (entry,) = records(utmp)
    assert (entry.type, entry.user, entry.pid) == (RecordType.DEAD_PROCESS, "", 4242)
    assert [one.type for one in records(wtmp)] == [7, 8]


def test_who_keeps_the_files_locked_keeps_nobody_out(files):
    lock = (
        "import fcntl, sys; files = [open(name) for name in sys.argv[1:]]\n"
        "[fcntl.lockf(file, fcntl.LOCK_SH) for file in files]; print(flush=True); input()"
    )
    command = [sys.executable, "-c", lock, *files]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        reader.stdout.readline()
        record_login(LOGIN, *map(str, files))  # would wait for ever
        assert [[one.user for one in records(path)] for path in files] == [["alice"]] * 2
        reader.communicate(b"\n")


def test_the_terminals_next_user_takes_its_place(files):
    utmp, wtmp = files
    record_login(LOGIN, str(utmp), str(wtmp))
    record_logout(LOGIN, 1.7e9, str(utmp), str(wtmp))
    next_one = Record(RecordType.USER_PROCESS, 5, "pts/7", "bob", "", "", 1.7e9)
    record_login(next_one, str(utmp), str(wtmp))
    record_logout(LOGIN, 1.7e9, str(utmp), str(wtmp))  # late: not bob's
    (entry,) = records(utmp)
    assert entry.user == "bob"


@pytest.mark.skipif(not shutil.which("last"), reason="needs last(1)")
def test_last_shows_it(files):
    _, wtmp = files
    record_login(LOGIN, str(files[0]), str(wtmp))
    shown = subprocess.run(["last", "-i", "-f", wtmp], capture_output=True, text=True).stdout
    assert shown.split()[:3] == ["alice", "pts/7", "192.0.2.1"]


def test_files_that_are_not_there_are_not_made(tmp_path):
    record_login(LOGIN, str(tmp_path / "utmp"), str(tmp_path / "wtmp"))
    record_failure("x", "h", "::1", 1.0, str(tmp_path / "btmp"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("lastb"), reason="needs lastb(1)")
def test_lastb_shows_a_failure(tmp_path):
    path = tmp_path / "btmp"
    path.touch(mode=0o600)
    record_failure("mallory", "h.example.org", "2001:db8::1", 1.7e9, str(path))
    shown = subprocess.run(["lastb", "-f", path], capture_output=True, text=True).stdout
    assert shown.split()[:3] == ["mallory", "ssh:notty", "h.example.org"]


@pytest.mark.parametrize("mode", [0o604, 0o606])
def test_a_file_that_others_can_read_gets_no_names(tmp_path, mode):
    path = tmp_path / "btmp"
    path.touch()
    path.chmod(mode)
    record_failure("password typed as a name", "h", "::1", 1.0, str(path))
    assert path.read_bytes() == b""


@given(st.text(), st.text(), st.text())
def test_any_text_fits(line, user, host):
    data = Record(RecordType.USER_PROCESS, 1, line, user, host, "no address", 1.0).encode()
    assert len(data) == RECORD_SIZE
    assert Record.decode(data) is not None
