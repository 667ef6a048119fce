"""Coming back to a session is asked of the account's rules like coming for the first time."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.integration.harness import public
from tests.integration.raw_client import named, wait_until
from tests.integration.test_resume import cut
from tests.pam_system import STACK

pytestmark = [pytest.mark.root, pytest.mark.one_pair]

PROGRAM = "echo ready; exec sleep 600"


@pytest.fixture
def serve(own_daemon, new_client, account):
    """A client that comes as the account; serve.daemon is its server."""

    def start(*settings):
        start.daemon = own_daemon("AuthorizedKeysFile .ssh/keys", *settings)
        client = new_client(start.daemon)
        client.configure(f"User {account.name}")
        keys = Path(account.entry.pw_dir) / ".ssh" / "keys"
        keys.parent.mkdir(exist_ok=True)
        keys.write_text(public(client.key) + "\n")
        return client

    return start


def leave_behind(client):
    """A session called `work`, whose client was killed."""
    with client.start("-tt", "--session=work", "host", PROGRAM) as process:
        assert process.stdout.readline() == b"ready\r\n"
        process.send_signal(signal.SIGKILL)


def attaches(client):
    with client.start("-tt", "--attach=work", "host") as process:
        came = process.stdout.readline()
        process.kill()
        said = process.stderr.read().decode()
    return came == b"ready\r\n", said


@pytest.mark.parametrize("rules", ["PAM", "shadow"])
def test_a_locked_account_cannot_come_back(serve, account, service, rules):
    pam = ("UsePAM yes", f"PAMServiceName {service(*STACK).name}")
    client = serve(*(pam if rules == "PAM" else ("UsePAM no",)))
    leave_behind(client)
    assert attaches(client)[0]
    account.change("--expiredate", "1")
    assert not attaches(client)[0]
    account.change("--expiredate", "")
    assert attaches(client)[0]


def test_nor_can_it_resume(serve, account, service):
    client = serve("UsePAM yes", f"PAMServiceName {service(*STACK).name}")
    with client.start("host", PROGRAM) as process:
        assert process.stdout.readline() == b"ready\n"
        account.change("--expiredate", "1")
        assert cut(serve.daemon)
        assert process.wait(60) == 255
        assert b"qsh: " in process.stderr.read()


def is_sent_back(client):
    """Whether nobody attaches to the session that was left behind."""
    came, said = attaches(client)
    return not came and "qsh: " in said


def test_while_nologin_is_there_nobody_comes_back(serve, service, tmp_path):
    closed = tmp_path / "nologin"
    name = service(*STACK, f"account required pam_nologin.so file={closed}").name
    client = serve("UsePAM yes", f"PAMServiceName {name}")
    leave_behind(client)
    with client.start("host", PROGRAM) as process:
        assert process.stdout.readline() == b"ready\n"
        closed.write_text("closed for the night\n")
        assert is_sent_back(client)
        assert cut(serve.daemon)
        assert process.wait(60) == 255
        assert b"qsh: " in process.stderr.read()
    closed.unlink()
    assert attaches(client)[0]


@pytest.mark.parametrize("rule", ["AllowUsers somebody-else", "DenyUsers *"])
def test_who_is_no_longer_allowed_does_not_come_back(serve, tmp_path, rule):
    rules = tmp_path / "rules"
    rules.write_text("")
    client = serve(f"Include {rules}")
    leave_behind(client)
    with client.start("host", PROGRAM) as process:
        assert process.stdout.readline() == b"ready\n"
        workers = named(serve.daemon, "qshd-worker")  # after a reload they are nobody's children
        reload(serve.daemon, rules, rule)
        assert is_sent_back(client)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        assert process.wait(60) == 255
    reload(serve.daemon, rules, "")
    assert attaches(client)[0]


def reload(daemon, rules, text):
    """Other rules hold from now on."""
    rules.write_text(text)
    before = daemon.log.count("Server listening")
    daemon.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: daemon.log.count("Server listening") > before)


def test_the_sessions_rules_are_asked_each_time(serve, service, tmp_path):
    """pam_exec stands for what opens sessions: times, limits, a mount that fails."""
    closed, notes = tmp_path / "closed", tmp_path / "notes"
    script = tmp_path / "open"
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE" >>{notes}\nexec test ! -e {closed}\n')
    script.chmod(0o755)
    name = service(*STACK, f"session required pam_exec.so {script}").name
    client = serve("UsePAM yes", f"PAMServiceName {name}")
    leave_behind(client)
    assert attaches(client)[0]
    assert notes.read_text().split().count("open_session") == 2
    closed.touch()
    came, said = attaches(client)
    assert not came
    assert "no such session" in said
    assert serve.daemon.wait_for_log("the account's rules refuse a session")
    closed.unlink()
    assert attaches(client)[0]
    assert len(named(serve.daemon, "qsh-holder")) == 1
