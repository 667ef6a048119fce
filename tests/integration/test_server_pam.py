"""Logins by PAM: real accounts, real modules, and the questions a client would be asked."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from qsh.errors import NetworkError
from qsh.wire.events import InfoAsked, LoginFailed, LoginSucceeded, PasswordChangeAsked
from qsh.wire.start_messages import ExecRequest
from qsh.wire.userauth_messages import (
    KeyboardInteractiveRequest,
    NoneRequest,
    PasswordRequest,
    Prompt,
)
from tests.integration.harness import public
from tests.integration.login_talk import talk_to
from tests.integration.raw_client import named, wait_until
from tests.pam_system import PASSWORD, STACK
from tests.sources import ROOT

pytestmark = [pytest.mark.root, pytest.mark.one_pair]
QUESTIONS = KeyboardInteractiveRequest()


@pytest.fixture
def talk(own_daemon, new_client, account):
    """Run a scenario (a coroutine function) against a daemon of these settings."""

    def run(scenario, *settings, user=account.name):
        run.daemon = daemon = own_daemon("UsePAM yes", "LogLevel DEBUG3", *settings)
        run.key, run.user = new_client(daemon).key, user
        return talk_to(daemon, run.key, user, scenario)

    return run


@pytest.fixture
def by(service):
    """The setting for a service of these lines: by("auth required pam_unix.so", …)."""
    return lambda *lines: f"PAMServiceName {service(*lines).name}"


def test_password(talk, by, account):
    async def scenario(one):
        wrong = await one.ask(PasswordRequest("wrong"))
        right = await one.ask(PasswordRequest(PASSWORD))
        return wrong, right, await one.output("id -un; id -Gn")

    wrong, right, output = talk(scenario, by(*STACK))
    assert wrong == LoginFailed(("publickey", "password", "keyboard-interactive"), False)
    assert isinstance(right, LoginSucceeded)
    assert output.split() == [account.name, account.name]
    log = talk.daemon.log
    assert f"Failed password for {account.name} from 127.0.0.1" in log
    assert f"Accepted password for {account.name} from 127.0.0.1" in log
    assert PASSWORD not in log
    assert "wrong" not in log


def test_rounds_of_questions(talk, by, module):
    async def scenario(one):
        first = await one.ask(QUESTIONS)
        second = await one.respond("blue")
        end = await one.respond("1", "2")
        return first, second, end

    first, second, end = talk(
        scenario, by(f"auth required {module} rounds", "account required pam_permit.so")
    )
    assert first == InfoAsked("", "Welcome, stranger.", (Prompt("Colour: ", True),))
    assert second == InfoAsked("", "hurry", (Prompt("One: ", False), Prompt("Two: ", True)))
    assert isinstance(end, LoginSucceeded)
    assert "Accepted keyboard-interactive/pam for" in talk.daemon.log


def test_wrong_and_ill_fitting_answers(talk, by, module):
    async def scenario(one):
        ends = []
        for answers in (("red",), (), ("blue", "green"), ("a\0b",)):
            assert isinstance(await one.ask(QUESTIONS), InfoAsked)
            one.dialogue._prompts = len(answers)  # so that it does not notice
            ends.append(await one.respond(*answers))
        return ends

    ends = talk(scenario, by(f"auth required {module} rounds"))
    assert all(isinstance(end, LoginFailed) for end in ends)
    assert len(ends) == 4


def test_a_client_may_give_up_a_question(talk, by, module, account):
    """And each time counts."""

    async def scenario(one):
        assert isinstance(await one.ask(QUESTIONS), InfoAsked)
        one.dialogue.state = type(one.dialogue.state).IDLE
        assert isinstance(await one.ask(QUESTIONS), InfoAsked)
        one.dialogue.state = type(one.dialogue.state).IDLE
        first = await one.ask(NoneRequest())
        one.dialogue.request(one.user, QUESTIONS)
        await one.answer()
        one.dialogue.state = type(one.dialogue.state).IDLE
        with pytest.raises(NetworkError, match="Too many"):
            await one.ask(NoneRequest())
        return first

    settings = by(f"auth required {module} rounds")
    assert isinstance(talk(scenario, settings, "MaxAuthTries 4"), LoginFailed)


def test_a_second_factor(talk, by, account, tmp_path):
    """pam_oath(8): a real time-based code after the password."""
    oath = Path("/lib/x86_64-linux-gnu/security/pam_oath.so")
    if not oath.exists():
        pytest.skip("needs libpam-oath and oathtool")
    secret = "3132333435363738393031323334353637383930"
    users = tmp_path / "users.oath"
    users.write_text(f"HOTP/T30 {account.name} - {secret}\n")
    users.chmod(0o600)

    def code():
        done = subprocess.run(["oathtool", "--totp", secret], capture_output=True, text=True)
        return done.stdout.strip()

    async def scenario(one):
        password = await one.ask(QUESTIONS)
        oath = await one.respond(PASSWORD)
        return password, oath, await one.respond(code())

    password, asked, end = talk(
        scenario,
        by("auth requisite pam_unix.so", f"auth required pam_oath.so usersfile={users}",
           "account required pam_unix.so"),
    )  # fmt: skip
    assert password.prompts == (Prompt("Password: ", False),)
    assert "One-time password" in asked.prompts[0].text
    assert isinstance(end, LoginSucceeded)


def test_key_and_then_password(talk, by, account):
    """AuthenticationMethods: the key's restrictions outlive the second method."""

    home = Path(account.entry.pw_dir)
    (home / ".ssh").mkdir()

    async def scenario(one):
        line = f'command="echo forced" {public(talk.key)}'
        (home / ".ssh" / "authorized_keys").write_text(line)
        alone = await one.ask(PasswordRequest(PASSWORD))
        key = await one.client.log_in(user=one.user)
        both = await one.ask(PasswordRequest(PASSWORD))
        return alone, key, both, await one.output("echo asked")

    alone, key, both, output = talk(
        scenario, by(*STACK), "AuthenticationMethods publickey,password",
        "AuthorizedKeysFile .ssh/authorized_keys",
    )  # fmt: skip
    assert alone == LoginFailed(("publickey",), False)
    assert key == LoginFailed(("password",), True)
    assert isinstance(both, LoginSucceeded)
    assert output == "forced\n"


def test_unknown_users_meet_the_same_questions(talk, by, module, tmp_path):
    """And their answers never reach the modules."""

    async def scenario(one):
        password = await one.ask(PasswordRequest("their guess"))
        asked = await one.ask(QUESTIONS)
        return password, asked, await one.respond("their guess")

    record = f"auth required {module} record {tmp_path / 'seen'}"
    settings = by(record, "account required pam_permit.so")
    password, asked, end = talk(scenario, settings, user="no-such-user")
    assert isinstance(password, LoginFailed)
    assert asked.prompts == (Prompt("More: ", False),)
    assert isinstance(end, LoginFailed)
    seen = (tmp_path / "seen").read_bytes()
    assert b"guess" not in seen
    assert seen.count(b"\b\n\r\x7fINCORRECT"[:11]) == 2
    assert "Failed password for invalid user no-such-user" in talk.daemon.log


@pytest.mark.parametrize("permitted", ["prohibit-password", "yes"])
def test_root_by_password(talk, by, permitted):
    """A service that lets everybody in still does not let root in."""

    async def scenario(one):
        return await one.ask(PasswordRequest("x"))

    settings = by("auth required pam_permit.so", "account required pam_permit.so")
    end = talk(scenario, settings, f"PermitRootLogin {permitted}", user="root")
    assert isinstance(end, LoginSucceeded if permitted == "yes" else LoginFailed)


def test_a_module_cannot_make_somebody_else_of_the_user(talk, by, module):
    async def scenario(one):
        return await one.ask(PasswordRequest(PASSWORD))

    end = talk(scenario, by(f"auth required {module} rename", "account required pam_permit.so"))
    assert isinstance(end, LoginFailed)


def test_the_account_rules_hold_for_keys_too(talk, by, module):
    async def scenario(one):
        return await one.ask(PasswordRequest(PASSWORD)), one.banners

    end, banners = talk(scenario, by("auth required pam_unix.so", f"account required {module}"))
    assert end == LoginFailed((), False)
    assert banners == ["Come back tomorrow."]
    assert "by PAM account configuration" in talk.daemon.log


def test_nologin(talk, by, tmp_path):
    (tmp_path / "nologin").write_text("closed for the night\n")

    async def scenario(one):
        return await one.ask(PasswordRequest(PASSWORD)), one.banners

    end, banners = talk(
        scenario,
        by("auth required pam_unix.so", f"account required pam_nologin.so file={tmp_path}/nologin"),
    )
    assert end == LoginFailed((), False)
    assert banners == ["closed for the night\n"]


def test_an_expired_password_is_changed(talk, by, account):
    account.change("-d", "0", program="chage")
    before = account.hash

    async def scenario(one):
        expired = await one.ask(PasswordRequest(PASSWORD))
        bad = await one.ask(PasswordRequest(PASSWORD, "x"))
        good = await one.ask(PasswordRequest(PASSWORD, "entirely new, 99"))
        return expired, bad, good

    expired, bad, good = talk(scenario, by(*STACK))
    assert isinstance(expired, PasswordChangeAsked)
    assert "change your password" in expired.prompt
    assert isinstance(bad, PasswordChangeAsked)
    assert isinstance(good, LoginSucceeded)
    assert account.hash != before
    assert account.hash.startswith("$y$")


def test_an_expired_password_is_changed_by_questions(talk, by, account):
    account.change("-d", "0", program="chage")

    async def scenario(one):
        texts = []
        event = await one.ask(QUESTIONS)
        for answer in (PASSWORD, PASSWORD, "entirely new, 99", "entirely new, 99"):
            texts.append(event.prompts[0].text)
            event = await one.respond(answer)
        return texts, event

    texts, end = talk(scenario, by(*STACK))
    assert texts == ["Password: ", "Current password: ", "New password: ", "Retype new password: "]
    assert isinstance(end, LoginSucceeded)


def test_expired_and_locked_accounts(talk, by, account):
    async def scenario(one):
        return await one.ask(PasswordRequest(PASSWORD))

    service = by(*STACK)
    account.change("-e", "2000-01-01")
    assert talk(scenario, service) == LoginFailed((), False)
    account.change("-e", "")
    account.change("-L")
    assert isinstance(talk(scenario, service), LoginFailed)


def test_empty_passwords(talk, by, account):
    account.change("-d", program="passwd")

    async def scenario(one):
        return await one.ask(NoneRequest())

    service = by(*STACK)
    assert isinstance(talk(scenario, service), LoginFailed)
    assert isinstance(talk(scenario, service, "PermitEmptyPasswords yes"), LoginSucceeded)


def test_the_session(talk, by, module, account, tmp_path):
    """Opened before the first process with its environment and groups; closed after the last."""
    notes = tmp_path / "notes"

    async def scenario(one):
        await one.ask(PasswordRequest(PASSWORD))
        assert not notes.exists()
        first = await one.output("env; id -G")
        second = await one.output("echo $FROM_PAM")
        assert notes.read_text() == "open ssh 127.0.0.1\n"
        return first, second

    first, second = talk(
        scenario,
        by(f"auth [default=ignore] {module} group", "auth required pam_unix.so",
           "account required pam_permit.so", f"session required {module} {notes}"),
    )  # fmt: skip
    assert "FROM_PAM=a value\n" in first
    assert "SSH_AUTH_INFO" not in first
    assert set(first.splitlines()[-1].split()) == {str(account.entry.pw_gid), "2"}
    assert second == "a value\n"
    assert wait_until(lambda: notes.read_text() == "open ssh 127.0.0.1\nclose\n")


def test_a_refused_session_shows_why(talk, by, module):
    async def scenario(one):
        await one.ask(PasswordRequest(PASSWORD))
        return await one.client.run(b"echo in")

    result = talk(
        scenario,
        by("auth required pam_unix.so", "account required pam_permit.so",
           f"session required {module} deny"),
    )  # fmt: skip
    assert result == (b"", b"No room for you.\n", 254)


def test_failures_last_as_long_as_the_modules_want(talk, by, module):
    async def scenario(one):
        began = time.monotonic()
        await one.ask(PasswordRequest("wrong"))
        return time.monotonic() - began

    assert 0.7 < talk(scenario, by(f"auth required {module} slow")) < 5


def test_a_module_that_hangs_is_ended_with_the_grace_time(talk, by, module):
    async def scenario(one):
        began = time.monotonic()
        with pytest.raises(NetworkError):
            await one.ask(PasswordRequest(PASSWORD))
        return time.monotonic() - began

    service = by(f"auth required {module} hang")
    assert talk(scenario, service, "LoginGraceTime 1") < 6
    assert wait_until(lambda: not named(talk.daemon, "qshd-monitor"), 15)




def test_pam_is_loaded_in_the_monitor_alone(talk, by):
    """And in what is forked from it afterwards, as the user."""

    async def scenario(one):
        await one.ask(PasswordRequest(PASSWORD))
        await one.output("true")
        found = {}
        for name in ("qshd-monitor", "qshd-worker", "qshd-keys"):
            for pid in named(talk.daemon, name):
                found[name] = "libpam.so" in Path(f"/proc/{pid}/maps").read_text()
        listener = Path(f"/proc/{talk.daemon.process.pid}/maps").read_text()
        return found, "libpam.so" in listener

    found, listener = talk(scenario, by(*STACK))
    assert found == {"qshd-monitor": True, "qshd-worker": False, "qshd-keys": False}
    assert not listener


def test_a_monitor_that_is_told_to_end_closes_the_session(talk, by, module, tmp_path):
    notes = tmp_path / "notes"

    async def scenario(one):
        await one.ask(PasswordRequest(PASSWORD))
        channel = await one.client.session()
        await channel.request(ExecRequest(b"sleep 60"))
        (monitor,) = named(talk.daemon, "qshd-monitor")
        os.kill(monitor, signal.SIGTERM)
        await one.client.connection.wait_closed()

    talk(scenario, by("auth required pam_unix.so", "account required pam_permit.so",
                      f"session required {module} {notes}"))  # fmt: skip
    assert wait_until(lambda: notes.read_text().endswith("close\n"))
    assert wait_until(lambda: not named(talk.daemon, "qshd-monitor"))


def test_the_file_that_is_shipped(talk, by):
    """Every module in it is there and lets a good user in, with the system's own rules."""
    lines = (ROOT / "packaging" / "pam.d" / "qshd").read_text().splitlines()

    async def scenario(one):
        return await one.ask(PasswordRequest(PASSWORD)), await one.output("id -un")

    end, output = talk(scenario, by(*lines))
    assert isinstance(end, LoginSucceeded)
    assert output.strip() == talk.user
    assert "session of" not in talk.daemon.log
