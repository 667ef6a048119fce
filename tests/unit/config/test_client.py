"""ClientSettings: defaults, tokens, and what real files come to."""

import time

import pytest

from qsh import paths
from qsh.config.client import client_files, load_client
from qsh.config.facts import LocalFacts
from qsh.config.forward_specs import ForwardSpec, Place
from qsh.config.lines import parse_option
from qsh.config.reader import ConfigFile
from qsh.errors import ConfigError

FACTS = LocalFacts("me", 1000, "/home/me", "box.example.net", {"A": "a", "SSH_AUTH_SOCK": "/s"})


def load(*options, host="Host"):
    return load_client(host, list(map(parse_option, options)), facts=FACTS, files=[])


def test_defaults_are_those_of_ssh():
    settings = load()
    assert (settings.original_host, settings.hostname, settings.user) == ("Host", "host", "me")
    assert (settings.port, settings.strict_host_key_checking) == (22, "ask")
    assert settings.user_known_hosts_files[0] == "/home/me/.ssh/known_hosts"
    assert settings.global_known_hosts_files[0] == "/etc/ssh/ssh_known_hosts"
    assert settings.identity_files[0] == "/home/me/.ssh/id_rsa"
    assert not settings.identity_files_given
    assert settings.identity_agent == "/s"
    assert (settings.request_tty, settings.escape_char) == ("auto", "~")
    assert settings.pubkey_authentication


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("HostName=%h.example.com", "hostname", "host.example.com"),
        ("HostKeyAlias=x", "host_key_name", "x"),
        ("UserKnownHostsFile=~/a ${A}/b-%n-%k", "user_known_hosts_files",
         ("/home/me/a", "a/b-Host-host")),
        ("UserKnownHostsFile=none", "user_known_hosts_files", ()),
        ("RevokedHostKeys=%d/%u@%l:%L", "revoked_host_keys", "/home/me/me@box.example.net:box"),
        ("IdentityFile=%%/%i-%p-%r-%j.", "identity_files", ("%/1000-22-me-.",)),
        ("IdentityFile=none", "identity_files", ()),
        ("CertificateFile=~/c", "certificate_files", ("/home/me/c",)),
        ("IdentityAgent=none", "identity_agent", None),
        ("IdentityAgent=$A", "identity_agent", "a"),
        ("IdentityAgent=$NOT_SET", "identity_agent", None),
        ("IdentityAgent=${A}/%h", "identity_agent", "a/host"),
        ("RemoteCommand=echo %h ${A}", "remote_command", "echo host ${A}"),
        ("RemoteCommand=none", "remote_command", None),
        ("Engine=auto", "engine", None),
        ("Engine=quinn", "engine", "quinn"),
        ("SendEnv=A B -A C", "send_env", ("B", "C")),
        ("SetEnv=A=1 'B=2 3'", "set_env", (("A", "1"), ("B", "2 3"))),
        ("ConnectTimeout=1m", "connect_timeout", 60.0),
        ("PubkeyAuthentication=no", "pubkey_authentication", False),
        ("PubkeyAuthentication=host-bound", "pubkey_authentication_mode", "host-bound"),
        ("ChallengeResponseAuthentication=no", "kbd_interactive_authentication", False),
        ("StrictHostKeyChecking=off", "strict_host_key_checking", "no"),
        ("GlobalKnownHostsFile=/a /b", "global_known_hosts_files", ("/a", "/b")),
    ],
)  # fmt: skip
def test_values(option, field, value):
    assert getattr(load(option), field) == value


def test_the_connection_hash_is_that_of_ssh():
    """%C as printed by OpenSSH 9.2 for the same facts: sha1 of %l%h%p%r."""
    from hashlib import sha1

    expected = sha1(b"box.example.nethost22me").hexdigest()
    assert load("IdentityFile=/k/%C").identity_files == (f"/k/{expected}",)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("IdentityFile=%z", "IdentityFile: unknown token %z"),
        ("IdentityFile=${NOT_SET}", "IdentityFile: the environment has no NOT_SET"),
        ("HostName=%p", "HostName: unknown token %p"),
        ("RemoteCommand=%z", "RemoteCommand: unknown token %z"),
        ("IdentityFile=~no-such-user/x", "there is no user no-such-user"),
        ("RefuseConnection=not here", "-o RefuseConnection=not here"),
        ("RefuseConnection='not here'", "the connection is refused: not here"),
    ],
)
def test_errors_name_the_option(option, text):
    with pytest.raises(ConfigError, match=r"^-o .*") as caught:
        load(option)
    assert text in str(caught.value)


def test_files_in_order_of_precedence(monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    home = paths.home()
    assert [file.path for file in client_files(None)] == [
        f"{home}/.config/qsh/config", f"{home}/.ssh/config",
        "/etc/qsh/qsh_config", "/etc/ssh/ssh_config",
    ]  # fmt: skip
    assert client_files("none") == []
    assert [file.path for file in client_files("/x")] == ["/x"]
    assert client_files("/x")[0].required


def test_a_second_pass_for_match_final(tmp_path):
    path = tmp_path / "config"
    path.write_text(
        "Match final host real.example\n User late\nMatch !final\n Port 7\n"
        "Host short\n HostName real.example\n IdentityFile /k\nHost real.example\n Tag second\n"
    )
    settings = load_client("short", facts=FACTS, files=[ConfigFile(str(path), "/")])
    assert (settings.user, settings.port, settings.tag) == ("late", 7, "second")
    assert settings.identity_files == ("/k",)


@pytest.mark.no_cover
def test_ten_thousand_blocks_take_less_than_two_seconds(tmp_path):
    path = tmp_path / "config"
    path.write_text(
        "".join(f"Match host h{n} user *\n IdentityFile '~/k {n}'\n Port 2222\n"
                for n in range(10_000))
    )  # fmt: skip
    started = time.process_time()
    settings = load_client("h7", facts=FACTS, files=[ConfigFile(str(path), "/")])
    assert time.process_time() - started < 2
    assert settings.identity_files == ("/home/me/k 7",)


SOCKET = Place(path="/home/me/s-host")


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("LocalForward=1 web:80", "local_forwards", ForwardSpec(Place(None, 1), Place("web", 80))),
        ("LocalForward=~/s-%h /t", "local_forwards", ForwardSpec(SOCKET, Place(path="/t"))),
        ("LocalForward=udp/53 ns:53", "local_forwards",
         ForwardSpec(Place(None, 53), Place("ns", 53), True)),
        ("RemoteForward=*:0", "remote_forwards", ForwardSpec(Place("*", 0))),
        ("RemoteForward=0 [::1]:80", "remote_forwards",
         ForwardSpec(Place(None, 0), Place("::1", 80))),
        ("DynamicForward=[::1]:1080", "dynamic_forwards", ForwardSpec(Place("::1", 1080))),
    ],
)  # fmt: skip
def test_forwards(option, field, value):
    assert getattr(load(option), field) == (value,)
    assert getattr(load(option, "ClearAllForwardings=yes"), field) == ()


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ((), None), (("ForwardAgent=no",), None), (("ForwardAgent=yes",), "/s"),
        (("ForwardAgent=yes", "IdentityAgent=/other"), "/other"),
        (("ForwardAgent=yes", "IdentityAgent=none"), None), (("ForwardAgent=$A",), "a"),
        (("ForwardAgent=$NOT_SET",), None), (("ForwardAgent=~/%u",), "/home/me/me"),
    ],
)  # fmt: skip
def test_the_agent_to_forward(options, path):
    assert load(*options).forward_agent == path


@pytest.mark.parametrize(
    "option",
    ["LocalForward=0:web:80", "LocalForward=1", "DynamicForward=1 web:80", "StreamLocalBindMask=8",
     "StreamLocalBindMask=01000", "PermitRemoteOpen=web"],
)  # fmt: skip
def test_forwards_that_are_none(option):
    with pytest.raises(ConfigError, match=option.partition("=")[0]):
        load(option)


def test_particulars_of_forwards():
    settings = load("StreamLocalBindMask=0117", "PermitRemoteOpen=web:80 *:443", "GatewayPorts=yes")
    assert settings.stream_local_bind_mask == 0o117
    assert settings.permit_remote_open == (("web", 80), ("*", 443))
    assert settings.gateway_ports
    assert load("PermitRemoteOpen=none").permit_remote_open == ()
    assert load("PermitRemoteOpen=any").permit_remote_open is None
