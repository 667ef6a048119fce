"""ServerSettings: the file, options, and Match blocks per connection."""

import dataclasses
import os
import time

import pytest

from qsh.config.lines import parse_option
from qsh.config.server import load_server, user_path
from qsh.config.server_conditions import ConnectionFacts
from qsh.config.server_settings import ListenAddress, MaxStartups
from qsh.errors import ConfigError

ALICE = ConnectionFacts("alice", "10.0.0.7", "192.0.2.1", 22, ("staff", "wheel"))
BOB = ConnectionFacts("bob", "2001:db8::7", "192.0.2.1", 2222, ("staff",), "b.example.com")
NOBODY = ConnectionFacts("xyz", "10.0.0.8", "192.0.2.1", 22, is_user_known=False)


@pytest.fixture
def load(tmp_path):
    def load(text, *options):
        path = tmp_path / "qshd_config"
        path.write_text(text)
        return load_server(str(path), list(map(parse_option, options)))

    return load


def test_without_a_file_the_defaults_hold():
    settings = load_server("none").settings
    assert settings.listen_addresses == (ListenAddress("", 22),)
    assert settings.permit_root_login == "prohibit-password"
    assert settings.max_startups == MaxStartups(10, 30, 100)
    assert all(os.access(path, os.R_OK) for path in settings.host_keys)
    assert settings.authorized_keys_files == (".ssh/authorized_keys", ".ssh/authorized_keys2")


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("Port 1\nPort 2", "ports", (1, 2)),
        ("Port 1\nListenAddress ::", "listen_addresses", (ListenAddress("::", 1),)),
        ("Port 1\nPort 2\nListenAddress a\nListenAddress [::1]:7", "listen_addresses",
         (ListenAddress("a", 1), ListenAddress("a", 2), ListenAddress("::1", 7))),
        ("HostKey /a\nHostKey /b", "host_keys", ("/a", "/b")),
        ("AuthenticationMethods publickey,password publickey", "authentication_methods",
         (("publickey", "password"), ("publickey",))),
        ("AuthenticationMethods any", "authentication_methods", ()),
        ("MaxStartups 5", "max_startups", MaxStartups(5, 100, 5)),
        ("MaxStartups 5:50:10", "max_startups", MaxStartups(5, 50, 10)),
        ("LoginGraceTime 0", "login_grace_time", None),
        ("LoginGraceTime 1m", "login_grace_time", 60.0),
        ("Subsystem sftp /x  -f 'a b'\nSubsystem sftp /y", "subsystems",
         (("sftp", "/x  -f 'a b'"),)),
        ("ForceCommand echo 'a  b'", "force_command", "echo 'a  b'"),
        ("ForceCommand none", "force_command", None),
        ("PermitRootLogin without-password", "permit_root_login", "prohibit-password"),
        ("PermitUserEnvironment A_*", "permit_user_environment", "A_*"),
        ("AllowUsers a b@10.*\nAllowUsers c", "allow_users", ("a", "b@10.*", "c")),
        ("AcceptEnv LANG LC_*", "accept_env", ("LANG", "LC_*")),
        ("Banner none", "banner", None),
        ("PidFile none", "pid_file", None),
        ("SyslogFacility local3", "syslog_facility", "LOCAL3"),
        ("UsePAM no\nX11Forwarding yes\nAllowTcpForwarding no", "use_pam", False),
    ],
)  # fmt: skip
def test_values(load, text, field, value):
    assert getattr(load(text).settings, field) == value


def test_options_replace_ports_and_come_first_elsewhere(load):
    settings = load("Port 1\nUseDNS yes\nHostKey /b", "Port=0", "UseDNS=no", "HostKey=/a").settings
    assert settings.listen_addresses == (ListenAddress("", 0),)
    assert settings.use_dns is False
    assert settings.host_keys == ("/a", "/b")


@pytest.mark.parametrize(
    "line",
    ["Nonsense 1", "Port 65536", "Port 2000blah", "ListenAddress :22", "ListenAddress a:x",
     "ListenAddress a rdomain b", "MaxStartups 5:0:10", "MaxStartups 10:30:5", "MaxStartups a",
     "LoginGraceTime x", "AuthenticationMethods publickey,x",
     "AuthenticationMethods gssapi-with-mic",
     "Subsystem sftp", "PermitRootLogin maybe", "IgnoreRhosts maybe",
     "AuthorizedKeysCommand /x",
     "AuthorizedKeysCommand x", "AuthorizedPrincipalsCommand /x %u", "ChannelTimeout session",
     "ChannelTimeout =5", "PubkeyAuthOptions touch", "HostKeyAgent agent",
     "Match all\nPort 1", "Match all\nMatch nonsense x",
     "Match user x\nHostbasedAuthentication maybe",
     "Match user x\nHostKey /x",
     "Match user", "Match all user x", "Match address 10.0.0.1/8", "Match localport x",
     "SyslogFacility KERN", "IgnoreUnknown x", "AllowUsers a@10.0.0.1/8",
     "DenyUsers a *@10.0.0.0/33", "DenyUsers a@", "DenyUsers a@x,,y", "DenyUsers a@!"],
)  # fmt: skip
def test_errors_name_file_and_line(load, tmp_path, line):
    with pytest.raises(ConfigError) as caught:
        load(f"# comment\n{line}\n")
    number = 2 + line.count("\n")
    assert str(caught.value).startswith(f"{tmp_path}/qshd_config line {number}: ")


def test_an_unknown_home_in_host_key(load):
    with pytest.raises(ConfigError, match=r"HostKey: .*no user"):
        load("HostKey ~no-such-user/key")


def test_a_missing_file_that_was_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_server(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("ChannelTimeout session=5m direct-*=0 global=1h", "channel_timeouts",
         (("session", 300.0), ("direct-*", 0.0), ("global", 3600.0))),
        ("ChannelTimeout none", "channel_timeouts", ()),
        ("UnusedConnectionTimeout 1m", "unused_connection_timeout", 60.0),
        ("PubkeyAuthOptions verify-required touch-required", "pubkey_auth_options",
         ("touch-required", "verify-required")),
        ("PubkeyAuthOptions none", "pubkey_auth_options", ()),
        ("HostKeyAgent SSH_AUTH_SOCK", "host_key_agent", "SSH_AUTH_SOCK"),
        ("AuthorizedKeysCommandUser nobody\nAuthorizedKeysCommand /x 'a b' %u",
         "authorized_keys_command", "/x 'a b' %u"),
        ("AuthorizedKeysCommand none", "authorized_keys_command", None),
        ("ChrootDirectory /srv/%u", "chroot_directory", "/srv/%u"),
        ("ExposeAuthInfo yes", "expose_auth_info", True),
    ],
)  # fmt: skip
def test_values_that_only_sshd_has(load, text, field, value):
    assert getattr(load(text).settings, field) == value


def test_include_looks_beside_the_file_and_the_first_value_wins(load, tmp_path):
    folder = tmp_path / "qshd_config.d"
    folder.mkdir()
    (folder / "20-b.conf").write_text("MaxSessions 2\nMaxAuthTries 2\n")
    (folder / "10-a.conf").write_text("MaxSessions 1\n")
    settings = load("Include qshd_config.d/*.conf\nMaxSessions 3\nMaxAuthTries 3").settings
    assert (settings.max_sessions, settings.max_auth_tries) == (1, 2)


@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ("user alice", True), ("user b*,!bob", False), ("group wheel", True),
        ("group staff,!wheel", False), ("address 10.0.0.0/24", True), ("address 10.1.*", False),
        ("localaddress 192.0.2.1", True), ("localport 22", True), ("localport 2222", False),
        ("host 10.0.0.7", True), ("host *.example.com", False), ("rdomain *", True),
        ("rdomain 4", False), ("version qsh_*", True), ("version OpenSSH_*", False),
        ("invalid-user", False), ("all", True), ("User=alice LocalPort=22", True),
        ("user alice group nobody", False),
    ],
)  # fmt: skip
def test_every_criterion(load, criteria, holds):
    config = load(f"Match {criteria}\nMaxAuthTries 1")
    assert (config.for_connection(ALICE).max_auth_tries == 1) == holds


@pytest.mark.parametrize(("user", "files", "used"), [(0, True, True), (0, False, False),
                                                      (7, True, False)])  # fmt: skip
def test_pam_is_used_where_root_has_a_service_for_us(load, monkeypatch, tmp_path, user, files,
                                                      used):  # fmt: skip
    service = tmp_path / "service"
    if files:
        service.touch()
    monkeypatch.setattr("qsh.config.server.PAM_FILES", (str(service),))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert load("").settings.use_pam is used
    assert load("UsePAM no").settings.use_pam is False
    assert load("UsePAM yes").settings.use_pam is True


BLOCKS = """
PermitTTY yes
AcceptEnv A
AllowUsers x
Match user alice
  PermitTTY no
  Banner /first
Match group wheel,!bad
  Banner /second
  ForceCommand /w
Match address 10.0.0.0/8 invalid-user
  MaxAuthTries 1
Match host *.example.com localport 2222
  AcceptEnv B
Match localaddress 192.0.2.1 user=bob
  AllowUsers bob
"""


def test_blocks_override_and_the_first_wins(load):
    config = load(BLOCKS)
    alice, bob, nobody = map(config.for_connection, (ALICE, BOB, NOBODY))
    assert (config.settings.permit_tty, config.settings.banner) == (True, None)
    assert (alice.permit_tty, alice.banner, alice.force_command) == (False, "/first", "/w")
    assert (alice.accept_env, alice.max_auth_tries) == (("A",), 6)
    assert (bob.accept_env, bob.allow_users, bob.permit_tty) == (("B",), ("bob",), True)
    assert (nobody.max_auth_tries, nobody.banner) == (1, None)


def test_blocks_override_options(load):
    config = load("Match all\nPermitTTY no", "PermitTTY=yes")
    assert config.settings.permit_tty
    assert not config.for_connection(ALICE).permit_tty


def test_connections_get_the_file_as_it_was_at_the_start(load, tmp_path):
    config = load("Include inner\nMatch all\nBanner /a")
    (tmp_path / "qshd_config").write_text("Nonsense")
    assert config.for_connection(ALICE).banner == "/a"


def test_the_name_of_pams_service(load):
    assert load("UsePAM yes").settings.pam_service_name is None
    assert load("UsePAM yes\nPAMServiceName other").settings.pam_service_name == "other"


@pytest.mark.parametrize(
    ("template", "path"),
    [(".ssh/authorized_keys", "/home/u/.ssh/authorized_keys"), ("/k/%u-%U%%", "/k/u-7%"),
     ("%h/x", "/home/u/x")],
)  # fmt: skip
def test_paths_of_a_user(template, path):
    assert user_path(template, user="u", home="/home/u", uid=7) == path


def test_a_bad_token_in_a_users_path():
    with pytest.raises(ValueError, match="%z"):
        user_path("%z", user="u", home="/", uid=0)


@pytest.mark.no_cover
def test_ten_thousand_blocks_take_less_than_two_seconds(load):
    text = "".join(f"Match User u{n} Address 10.0.0.0/8\n MaxSessions {n % 50 + 1}\n"
                   for n in range(10_000))  # fmt: skip
    facts = dataclasses.replace(ALICE, user="u9998")
    started = time.process_time()
    settings = load(text).for_connection(facts)
    assert time.process_time() - started < 2
    assert settings.max_sessions == 49
