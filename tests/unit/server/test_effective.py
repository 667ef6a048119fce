"""What `-T` prints reads back as the same settings, whatever they are."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsh.config.keywords import Effect
from qsh.config.lines import parse_option
from qsh.config.server import load_server
from qsh.config.server_keywords import SERVER_KEYWORDS
from qsh.errors import ConfigError, UsageError
from qsh.server.effective import lines_of, parse_specs, settings_lines

EVERYTHING = """
Port 2222
Port 2223
ListenAddress 127.0.0.1
ListenAddress [::1]:9
AddressFamily inet
HostKey "/a b"
HostKey /c\\"d
HostKeyAgent SSH_AUTH_SOCK
PidFile none
LoginGraceTime 0
AuthenticationMethods publickey,password publickey,keyboard-interactive:pam
AuthorizedKeysFile none
AuthorizedKeysCommand /bin/echo 'a  b' %u
AuthorizedKeysCommandUser nobody
ChannelTimeout session=5m global=1h
UnusedConnectionTimeout 2m
PubkeyAuthOptions touch-required
PubkeyAcceptedAlgorithms -rsa-*,*nistp521*
HostKeyAlgorithms ^rsa-sha2-256
CASignatureAlgorithms ssh-ed25519
PermitRootLogin without-password
AllowUsers a b@10.0.0.0/8
DenyGroups x
SetEnv A=1 "B=a b"
AcceptEnv LANG LC_*
ForceCommand echo "a  b" # kept
ChrootDirectory /srv/%u
Subsystem sftp internal-sftp -f "a b" -u 077
Subsystem x /bin/cat
PermitOpen [::1]:22 *:80
PermitListen none
StreamLocalBindMask 0117
MaxStartups 5:50:10
PerSourceMaxStartups 5
PerSourceNetBlockSize 24:56
PerSourcePenalties crash:1m authfail:7 overflow:deny-all
PerSourcePenaltyExemptList 10.0.0.0/8,::1
Ciphers +aes256-ctr
PermitTunnel no
UsePAM no
LogLevel debug3
"""


@pytest.fixture
def printed(tmp_path):
    """Lines of -T for a configuration, and what they read back as."""

    def printed(text):
        path = tmp_path / "config"
        path.write_text(text)
        config = load_server(str(path))
        return list(lines_of(config.settings, config)), config.settings

    return printed


@pytest.mark.parametrize("text", ["", EVERYTHING])
def test_it_reads_back(printed, text):
    lines, before = printed(text)
    again, after = printed("\n".join(lines) + "\n")
    assert again == lines
    changed = {"listen_addresses", "ports", "pubkey_accepted_algorithms", "host_key_algorithms",
               "ca_signature_algorithms", "kex_algorithms",
               "hostbased_accepted_algorithms"}  # fmt: skip
    for name in before.__dataclass_fields__:
        if name not in changed:
            assert getattr(after, name) == getattr(before, name), name


def test_every_keyword_that_works_is_there(printed):
    lines, _ = printed(EVERYTHING)
    names = {line.split()[0] for line in lines}
    silent = {"match", "include", "pamservicename", "hostcertificate", "denyusers", "allowgroups"}
    for row in SERVER_KEYWORDS.rows:
        if row.effect is not Effect.NONE and row.harmless != ():
            assert row.name.lower() in names
        if row.effect is Effect.WORKS and row.name.lower() not in silent:
            assert row.name.lower() in names, row.name


def test_what_has_no_effect_is_repeated_or_truly_told(printed):
    lines, _ = printed(EVERYTHING)
    assert "ciphers +aes256-ctr" in lines
    assert "macs <implicit>" in lines
    assert "compression no" in lines


WORDS = st.lists(st.text(min_size=1).filter(lambda t: not set(t) & set("\n\r\0")), min_size=1)


@settings(max_examples=60)
@given(words=WORDS)
def test_any_word_is_quoted_so_that_it_reads_back(tmp_path_factory, words):
    from qsh.config.lines import parse_line
    from qsh.config.written import quoted

    line = parse_line("Banner " + " ".join(map(quoted, words)), "x")
    assert list(line.arguments) == words


def test_match_applies_for_a_connection(tmp_path):
    path = tmp_path / "config"
    path.write_text("Match user root address 10.0.0.0/8 localport 22\nMaxAuthTries 1\n")
    def tries(*specs):
        lines = settings_lines(str(path), [], specs)
        return next(line for line in lines if line.startswith("maxauthtries "))
    assert tries() == "maxauthtries 6"
    assert tries("user=root,addr=10.1.1.1", "lport=22") == "maxauthtries 1"
    assert tries("user=root,addr=11.1.1.1,lport=22") == "maxauthtries 6"


def test_groups_of_the_named_user_count(tmp_path):
    path = tmp_path / "config"
    group = os.popen("id -gn").read().strip()
    user = os.popen("id -un").read().strip()
    path.write_text(f"Match group {group}\nMaxAuthTries 1\n")
    assert "maxauthtries 1" in settings_lines(str(path), [], [f"user={user}"])
    assert "maxauthtries 6" in settings_lines(str(path), [], ["user=no-such-user"])


@pytest.mark.parametrize("spec", ["x=1", "user", "user=", "", "lport=x", "invalid-user=1"])
def test_a_wrong_connection(spec):
    with pytest.raises(UsageError, match="-C"):
        parse_specs([spec])


def test_an_invalid_user():
    assert not parse_specs(["invalid-user", "user=x"]).is_user_known


def test_options_count():
    lines = settings_lines("none", [parse_option("MaxAuthTries=2")], [])
    assert "maxauthtries 2" in lines
    with pytest.raises(ConfigError):
        settings_lines("/no/such/file", [], [])
