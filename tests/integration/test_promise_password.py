"""Passwords and second factors, typed as a user would: the program `qsh` asks by SSH_ASKPASS."""

import pytest

from tests.pam_system import PASSWORD, STACK

pytestmark = [pytest.mark.root, pytest.mark.one_pair]


@pytest.fixture
def log_in(own_daemon, new_client, account, tmp_path):
    """Run `id -un` as the account, answering prompts by a shell script: (Result, prompts)."""

    def run(answers, *settings, command=("id -un",)):
        client = new_client(own_daemon(*settings))
        client.configure(f"User {account.name}", "PubkeyAuthentication no",
                         "NumberOfPasswordPrompts 2")  # fmt: skip
        asked, askpass = tmp_path / "asked", tmp_path / "askpass"
        askpass.write_text(f'#!/bin/sh\necho "$1" >>{asked}\n{answers}\n')
        askpass.chmod(0o755)
        env = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        result = client("host", *command, env=env)
        return result, asked.read_text().splitlines()

    return run


def test_password_without_pam(log_in, account):
    result, asked = log_in(f"echo '{PASSWORD}'", "UsePAM no")
    assert (result.status, result.stdout.decode()) == (0, f"{account.name}\n")
    assert asked == [f"{account.name}@host's password: "]


def test_wrong_password(log_in):
    result, asked = log_in("echo wrong", "UsePAM no")
    assert result.status == 255
    assert "permission denied (publickey,password)" in result.stderr
    assert len(asked) == 2


def test_questions_of_two_modules(log_in, account, service, module):
    stack = service("auth requisite pam_unix.so", f"auth required {module} rounds",
                    "account required pam_unix.so")  # fmt: skip
    answers = f"""case "$1" in
        *Password*) echo '{PASSWORD}' ;; *Colour*) echo blue ;; *One*) echo 1 ;; *Two*) echo 2 ;;
        esac"""
    result, asked = log_in(
        answers, "UsePAM yes", f"PAMServiceName {stack.name}", "PasswordAuthentication no"
    )
    assert (result.status, result.stdout.decode()) == (0, f"{account.name}\n")
    assert "Welcome, stranger." in result.stderr
    who = f"({account.name}@host)"
    assert asked == [f"{who} Password: ", f"{who} Colour: ", f"{who} One: ", f"{who} Two: "]


def test_an_expired_password(log_in, account, service):
    account.change("-d", "0", program="chage")
    answers = f"""case "$1" in
        *new*) echo 'entirely new, 99' ;; *) echo '{PASSWORD}' ;; esac"""
    result, asked = log_in(
        answers, "UsePAM yes", f"PAMServiceName {service(*STACK).name}",
        "KbdInteractiveAuthentication no",
    )  # fmt: skip
    assert (result.status, result.stdout.decode()) == (0, f"{account.name}\n")
    assert len(asked) == 4


def test_denied_with_a_reason(log_in, service):
    stack = service("auth required pam_unix.so", "account required pam_deny.so")
    result, _ = log_in(f"echo '{PASSWORD}'", "UsePAM yes", f"PAMServiceName {stack.name}")
    assert result.status == 255
    assert "permission denied" in result.stderr
