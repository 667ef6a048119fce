"""The client's side of the login, against a scripted server: real keys, real signatures."""

import asyncio
import re
import subprocess

import pytest

from qsh.client.host.proofs import read_proof
from qsh.client.login.keyring import Keyring
from qsh.client.login.login import Login
from qsh.config.client_settings import ClientSettings
from qsh.config.values import AlgorithmList
from qsh.errors import LoginError
from qsh.wire.userauth_messages import (
    HostboundRequest,
    InfoRequest,
    KeyboardInteractiveRequest,
    NoneRequest,
    PasswordRequest,
    Prompt,
    PublicKeyRequest,
)
from tests.attested import Answers, Host
from tests.key_making import ED25519

ALL = ("publickey", "password", "keyboard-interactive")


@pytest.fixture
def make_key(tmp_path):
    def make(name, *options, passphrase=""):
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", path, *options], check=True)
        return str(path)

    return make


class Attempted:
    """What a login came to."""

    def __init__(self):
        self.host = Host(ED25519)
        self.prompter = None
        self.used = None

    @property
    def seen(self):
        return self.host.seen

    def log_in(self, decide, *answers, last_worked="", secrets=True, **settings):
        self.prompter = Answers(*answers)
        settings = ClientSettings("h", "h", "alice", identity_files_given=True, **settings)

        async def main():
            async with self.host.connected() as client:
                await self.host.pair.server.handshaken()
                client.trust()
                serving = asyncio.ensure_future(self.host.answer_login(decide))
                keyring = Keyring(settings, self.prompter)
                identities = await keyring.identities(last_worked)
                login = Login(client, read_proof(client), settings, keyring, self.prompter,
                              identities, may_type_secrets=secrets)
                try:
                    await login.start()
                    await login.finish()
                    self.used = login.used
                    await serving
                finally:
                    keyring.close()
                    serving.cancel()

        asyncio.run(main())
        return self


@pytest.fixture
def attempt():
    return Attempted()


def accept_key(host, number=0):
    """Accept the key seen as the given one of those that were signed with."""
    signed = []

    def decide(login, body):
        if isinstance(body, HostboundRequest | PublicKeyRequest) and body.signature is None:
            login.confirm_key(body.algorithm, body.key_blob)
        elif isinstance(body, HostboundRequest | PublicKeyRequest):
            assert host.is_genuine("alice", body)
            signed.append(body)
            if len(signed) > number:
                login.accept()
            else:
                login.refuse(ALL)
        else:
            login.refuse(ALL)

    return decide


def refuse(login, body):
    login.refuse(ALL)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_file_without_passphrase_is_signed_with_at_once(attempt, make_key, kind):
    key = make_key("key", "-t", kind)
    attempt.log_in(accept_key(attempt.host), identity_files=(key,))
    body, = attempt.seen
    assert isinstance(body, HostboundRequest)
    assert body.host_key == ED25519.public.blob
    assert attempt.used.path == key
    assert attempt.prompter.asked == []


def test_without_host_binding(attempt, make_key):
    attempt.log_in(accept_key(attempt.host), identity_files=(make_key("key", "-t", "ed25519"),),
                   pubkey_authentication_mode="unbound")
    assert isinstance(attempt.seen[0], PublicKeyRequest)


def test_the_next_key_after_a_refused_one(attempt, make_key):
    one, two = make_key("one", "-t", "ed25519"), make_key("two", "-t", "ed25519")
    attempt.log_in(accept_key(attempt.host, 1), identity_files=(one, two))
    assert len(attempt.seen) == 2
    assert attempt.used.path == two


def test_what_last_worked_goes_first(attempt, make_key):
    one, two = make_key("one", "-t", "ed25519"), make_key("two", "-t", "ed25519")
    attempt.log_in(accept_key(attempt.host, 1), identity_files=(one, two))
    again = Attempted()
    again.log_in(accept_key(again.host), identity_files=(one, two),
                 last_worked=attempt.used.fingerprint)
    assert len(again.seen) == 1
    assert again.used.path == two


def test_an_encrypted_key_is_asked_for_only_when_the_server_wants_it(attempt, make_key):
    key = make_key("key", "-t", "ed25519", passphrase="secret")
    attempt.log_in(accept_key(attempt.host), "wrong", "secret", identity_files=(key,))
    assert isinstance(attempt.seen[0], NoneRequest)
    assert attempt.seen[1].signature is None
    assert [prompt for prompt, _ in attempt.prompter.asked] == [
        f"Enter passphrase for key '{key}': ", f"Bad passphrase, try again for {key}: "]
    assert attempt.seen[2].signature is not None


def test_an_encrypted_key_that_is_not_wanted_troubles_nobody(attempt, make_key):
    key = make_key("key", "-t", "ed25519", passphrase="secret")
    with pytest.raises(LoginError):
        attempt.log_in(refuse, "secret", identity_files=(key,), batch_mode=True)
    assert attempt.prompter.asked == []


def test_certificates_go_before_their_key(attempt, make_key):
    ca, key = make_key("ca", "-t", "ed25519"), make_key("key", "-t", "rsa")
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", "alice", key + ".pub"],
                   check=True)
    attempt.log_in(accept_key(attempt.host, 1), identity_files=(key,))
    assert [body.algorithm for body in attempt.seen] == [
        "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"]


def test_algorithms_by_settings_and_server(attempt, make_key):
    key = make_key("key", "-t", "rsa")
    attempt.log_in(accept_key(attempt.host), identity_files=(key,),
                   pubkey_accepted_algorithms=AlgorithmList("-", ("rsa-sha2-512",)))
    assert attempt.seen[0].algorithm == "rsa-sha2-256"
    with pytest.raises(LoginError):
        Attempted().log_in(refuse, identity_files=(key,), batch_mode=True,
                           pubkey_accepted_algorithms=AlgorithmList("", ("ssh-ed25519",)))


def test_the_server_says_which_algorithms_it_takes(attempt, make_key):
    accept = accept_key(attempt.host, 1)

    def decide(login, body):
        if len(attempt.seen) == 1:
            login.announce({"server-sig-algs": b"ssh-ed25519,rsa-sha2-256"})
        accept(login, body)

    keys = make_key("one", "-t", "ed25519"), make_key("two", "-t", "rsa")
    attempt.log_in(decide, identity_files=keys)
    assert attempt.seen[1].algorithm == "rsa-sha2-256"


@pytest.fixture
def agent(tmp_path, make_key):
    process = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"],
                               stdout=subprocess.PIPE)
    assert re.search(rb"SSH_AUTH_SOCK", process.stdout.readline())

    def add(*keys):
        subprocess.run(["ssh-add", "-q", *keys], check=True,
                       env={"SSH_AUTH_SOCK": str(tmp_path / "agent"), "PATH": "/usr/bin:/bin"})

    add.path = str(tmp_path / "agent")
    yield add
    process.terminate()
    process.communicate()


def test_the_agents_key_in_the_first_flight(attempt, agent, make_key):
    agent(make_key("key", "-t", "rsa"))
    attempt.log_in(accept_key(attempt.host), identity_agent=agent.path)
    body, = attempt.seen
    assert body.algorithm == "rsa-sha2-512"
    assert attempt.used.in_agent


def test_further_keys_of_the_agent_are_queried_first(attempt, agent, make_key):
    agent(make_key("one", "-t", "ed25519"), make_key("two", "-t", "ecdsa"))
    attempt.log_in(accept_key(attempt.host, 1), identity_agent=agent.path)
    assert [body.signature is None for body in attempt.seen] == [False, True, False]


def test_a_certificate_in_a_file_and_its_key_in_the_agent(attempt, agent, make_key):
    ca, key = make_key("ca", "-t", "ed25519"), make_key("key", "-t", "ed25519")
    agent(key)
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "id", "-n", "alice", key + ".pub"],
                   check=True)
    attempt.log_in(accept_key(attempt.host), identity_agent=agent.path, identity_files=(key,))
    assert "cert" in attempt.seen[0].algorithm


def test_an_agent_that_is_not_there_is_no_obstacle(attempt, make_key):
    attempt.log_in(accept_key(attempt.host), identity_agent="/nonexistent/agent",
                   identity_files=(make_key("key", "-t", "ed25519"),))


def accept_password(right):
    def decide(login, body):
        if isinstance(body, PasswordRequest) and body.password == right:
            login.accept()
        else:
            login.refuse(("password",))

    return decide


def test_password_after_none(attempt):
    attempt.log_in(accept_password("right"), "wrong", "right")
    assert [type(body) for body in attempt.seen] == [NoneRequest, PasswordRequest, PasswordRequest]
    assert attempt.prompter.asked == [("alice@h's password: ", False)] * 2
    assert attempt.used is None


def test_three_passwords_are_enough(attempt):
    with pytest.raises(LoginError, match=r"alice@h: permission denied \(password\)"):
        attempt.log_in(accept_password("right"), *["wrong"] * 9)
    assert len(attempt.seen) == 4


def test_no_password_for_a_host_that_is_not_the_known_one(attempt):
    with pytest.raises(LoginError):
        attempt.log_in(refuse, "secret", secrets=False)
    assert [type(body) for body in attempt.seen] == [NoneRequest]
    assert attempt.prompter.asked == []


@pytest.mark.parametrize("settings", [{"batch_mode": True}, {
    "password_authentication": False, "kbd_interactive_authentication": False}])
def test_methods_may_be_off(attempt, settings):
    with pytest.raises(LoginError) as caught:
        attempt.log_in(refuse, "secret", **settings)
    assert attempt.prompter.asked == []
    assert "-v says why" in caught.value.__notes__[0]


def test_nobody_there_to_type(attempt):
    with pytest.raises(LoginError):
        attempt.log_in(refuse)


def test_an_expired_password_is_changed(attempt, capfd):
    def decide(login, body):
        if isinstance(body, PasswordRequest) and body.new_password == "new":
            login.accept()
        elif isinstance(body, PasswordRequest):
            login.ask_new_password("Your password \x1bhas expired.")
        else:
            login.refuse(("password",))

    attempt.log_in(decide, "old", "old", "new", "typo", "new", "new")
    assert attempt.seen[-1] == PasswordRequest("old", "new")
    shown = capfd.readouterr().err
    assert "\\x1bhas expired" in shown
    assert "Mismatch" in shown


def test_questions_in_several_rounds(attempt, capfd):
    def decide(login, body):
        if isinstance(body, KeyboardInteractiveRequest):
            prompts = (Prompt("Name\x07: ", True), Prompt("Code: ", False))
            login.ask(InfoRequest("Welcome", "Who are you?", prompts))
        elif body == ("me", "42"):
            login.ask(InfoRequest("", "", ()))
        elif body == ():
            login.accept()
        else:
            login.refuse(("keyboard-interactive",))

    attempt.log_in(decide, "me", "42")
    assert attempt.prompter.asked == [("(alice@h) Name\\x07: ", True), ("(alice@h) Code: ", False)]
    assert "Welcome\nWho are you?\n" in capfd.readouterr().err


def test_key_and_password_together(attempt, make_key):
    def decide(login, body):
        if isinstance(body, HostboundRequest):
            login.refuse(("password",), partial=True)
        elif isinstance(body, PasswordRequest):
            login.accept()
        else:
            login.refuse(("publickey",))

    attempt.log_in(decide, "secret", identity_files=(make_key("key", "-t", "ed25519"),))
    assert [type(body) for body in attempt.seen] == [HostboundRequest, PasswordRequest]


def test_the_users_order_of_methods(attempt, make_key):
    attempt.log_in(accept_password("x"), "x", identity_files=(make_key("key", "-t", "ed25519"),),
                   preferred_authentications=("password", "publickey"))
    assert [type(body) for body in attempt.seen][-1] is PasswordRequest


def test_banners_are_shown_and_harmless(attempt, make_key, capfd):
    def decide(login, body):
        login.banner("Authorized use only.\n\x1b[31mReally.\n")
        login.accept()

    attempt.log_in(decide, identity_files=(make_key("key", "-t", "ed25519"),))
    assert capfd.readouterr().err == "Authorized use only.\n\\x1b[31mReally.\n"


def test_a_missing_identity_file_is_named(attempt, capfd):
    with pytest.raises(LoginError):
        attempt.log_in(refuse, identity_files=("/nonexistent/key",), batch_mode=True)
    assert "identity file cannot be used: /nonexistent/key" in capfd.readouterr().err


def test_short_rsa_keys_stay_at_home(attempt, make_key, capfd):
    with pytest.raises(LoginError):
        attempt.log_in(refuse, identity_files=(make_key("key", "-t", "rsa", "-b", "1024"),),
                       required_rsa_size=2048, batch_mode=True)
    assert "RSA key of 1024 bits" in capfd.readouterr().err
    assert [type(body) for body in attempt.seen] == [NoneRequest]
