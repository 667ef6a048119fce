"""Logins without PAM: passwords by shadow(5), and what its dates and marks mean."""

from pathlib import Path

import pytest

from qsh.wire.events import LoginFailed, LoginSucceeded
from qsh.wire.start_messages import ExecRequest, PtyRequest, ShellRequest
from qsh.wire.userauth_messages import NoneRequest, PasswordRequest
from tests.integration.harness import public
from tests.integration.login_talk import talk_to
from tests.integration.raw_client import exit_of, finish, read_all
from tests.pam_system import PASSWORD

pytestmark = [pytest.mark.root, pytest.mark.one_pair]
RIGHT, WRONG = PasswordRequest(PASSWORD), PasswordRequest("wrong")


@pytest.fixture
def talk(own_daemon, new_client, account):
    """Run a scenario against a daemon of these settings; the account's key is the client's."""

    def run(scenario, *settings, user=account.name):
        run.daemon = daemon = own_daemon(
            "UsePAM no", "LogLevel DEBUG3", "AuthorizedKeysFile .ssh/keys", *settings
        )
        key = new_client(daemon).key
        keys = Path(account.entry.pw_dir) / ".ssh" / "keys"
        keys.parent.mkdir(exist_ok=True)
        keys.write_text(public(key))
        return talk_to(daemon, key, user, scenario)

    return run


async def try_both(one):
    return await one.ask(WRONG), await one.ask(RIGHT)


@pytest.mark.parametrize("method", ["YESCRYPT", "SHA512"])
def test_password(talk, account, method):
    account.set_password(PASSWORD, method)

    async def scenario(one):
        answers = await try_both(one)
        return *answers, await one.output("id -un")

    wrong, right, output = talk(scenario)
    assert wrong == LoginFailed(("publickey", "password"), False)
    assert isinstance(right, LoginSucceeded)
    assert output == f"{account.name}\n"
    log = talk.daemon.log
    assert f"Accepted password for {account.name} from 127.0.0.1" in log
    assert PASSWORD not in log
    assert account.hash not in log


def test_no_passwords(talk):
    wrong, right = talk(try_both, "PasswordAuthentication no")
    assert wrong == right == LoginFailed(("publickey",), False)


def test_unknown_and_denied_users(talk, account):
    wrong, right = talk(try_both, user="no-such-user")
    assert wrong == right == LoginFailed(("publickey", "password"), False)
    wrong, right = talk(try_both, f"DenyUsers {account.name}")
    assert wrong == right == LoginFailed(("publickey", "password"), False)


def test_too_many_tries(talk):
    async def scenario(one):
        answers = [await one.ask(WRONG) for _ in range(2)]
        one.dialogue.request(one.user, WRONG)
        return answers, await one.client.connection.wait_closed()

    answers, closed = talk(scenario, "MaxAuthTries 3")
    assert all(isinstance(answer, LoginFailed) for answer in answers)
    assert "Too many" in closed.reason


def test_locked_accounts_take_no_key_either(talk, account):
    account.change("-L")

    async def scenario(one):
        return await one.ask(RIGHT), await one.client.log_in(user=one.user)

    password, key = talk(scenario)
    assert isinstance(password, LoginFailed)
    assert isinstance(key, LoginFailed)
    assert "account is locked" in talk.daemon.log


def test_accounts_without_a_password_take_keys(talk, account):
    account.change("-p", "*")

    async def scenario(one):
        return await one.ask(RIGHT), await one.client.log_in(user=one.user)

    password, key = talk(scenario)
    assert isinstance(password, LoginFailed)
    assert isinstance(key, LoginSucceeded)


def test_expired_account(talk, account):
    account.change("-e", "2000-01-01")
    assert all(isinstance(answer, LoginFailed) for answer in talk(try_both))
    assert f"Account {account.name} has expired" in talk.daemon.log


def test_a_password_too_old_for_good(talk, account):
    account.change("-d", "2000-01-01", "-M", "10", "-I", "5", program="chage")
    _, right = talk(try_both)
    assert right == LoginFailed((), False)


def test_an_expired_password_lets_in_to_change_it(talk, account):
    """By a key as well; and nothing else can be done."""
    account.change("-d", "0", program="chage")

    async def scenario(one):
        assert isinstance(await one.client.log_in(user=one.user), LoginSucceeded)
        plain = await one.client.run(b"echo in")
        channel = await one.client.session()
        await channel.request(PtyRequest("xterm", 80, 24, 0, 0, b"\0"))
        assert await channel.request(ShellRequest())
        text = b""
        for answer in (PASSWORD, "entirely new, 99", "entirely new, 99"):
            while not text.lower().rstrip().endswith(b"password:"):
                text += await channel.read()
            await channel.write(answer.encode() + b"\n")
            shown, text = text, b""
        return plain, shown + await read_all(channel), await exit_of(channel)

    plain, shown, status = talk(scenario)
    assert plain == (b"", b"Password change required but no TTY available.\n", 1)
    assert status == 0
    assert b"updated successfully" in shown

    async def again(one):
        return await one.ask(PasswordRequest("entirely new, 99"))

    assert isinstance(talk(again), LoginSucceeded)


def test_a_warning_comes_before_the_end(talk, account):
    account.change("-M", "5", "-W", "7", program="chage")

    async def scenario(one):
        await one.ask(RIGHT)
        channel = await one.client.session()
        await channel.request(PtyRequest("xterm", 80, 24, 0, 0, b"\0"))
        assert await channel.request(ExecRequest(b"echo in"))
        return (await finish(channel))[0]

    shown = talk(scenario).decode().split()
    assert " ".join(shown) == "Your password will expire in 5 days. in"


def test_empty_passwords(talk, account):
    account.change("-d", program="passwd")

    async def scenario(one):
        return await one.ask(NoneRequest()), await one.ask(PasswordRequest(""))

    assert all(isinstance(answer, LoginFailed) for answer in talk(scenario))

    async def ask(one):
        return await one.ask(NoneRequest())

    assert isinstance(talk(ask, "PermitEmptyPasswords yes"), LoginSucceeded)
