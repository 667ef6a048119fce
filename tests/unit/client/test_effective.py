"""`-G`: what is printed is read back as the same settings."""

import subprocess
import sys

import pytest

from qsh.client.effective import lines_of
from qsh.config.client import load_client
from qsh.config.client_keywords import CLIENT_KEYWORDS
from qsh.config.facts import LocalFacts
from qsh.config.reader import ConfigFile
from tests.sources import ROOT

FACTS = LocalFacts("u", 1000, "/home/u", "here.example.org", {"SSH_AUTH_SOCK": "/run/agent"})
EVERYTHING = r"""
Host h
  HostName box.example.org
  User "alice b"
  Port 2222
  Tag "with # sign"
  Engine aioquic
  AddressFamily inet6
  BindAddress ::1
  BindInterface eth0
  IPQoS 0x11 none
  ConnectTimeout 1m
  ServerAliveInterval 90
  ResumeTimeout 1h
  StrictHostKeyChecking accept-new
  UserKnownHostsFile ~/a "/tmp/b c" /tmp/100%%
  GlobalKnownHostsFile none
  HostKeyAlias "alias"
  HostKeyAlgorithms ^ssh-rsa,ssh-ed25519
  CASignatureAlgorithms -ssh-ed25519
  PubkeyAcceptedAlgorithms ssh-ed25519
  RevokedHostKeys "/tmp/it's \"odd\" \\"
  IdentityFile %d/%r-%h
  IdentityFile ~/second
  CertificateFile /c
  IdentityAgent /agent%%socket
  PreferredAuthentications publickey,password
  RequestTTY force
  RemoteCommand echo "a  b" 100%% # not a comment
  EscapeChar ^]
  SendEnv LC_* "LANG"
  SendEnv X
  SetEnv A=1 "B=two words" "C=it's"
  LogLevel DEBUG2
  SyslogFacility LOCAL3
  LocalForward 8080 web:80
  LocalForward [::1]:8081 [fe80::1]:80
  LocalForward udp/*:53 dns:53
  LocalForward "/tmp/a b\\:c" /run/%%r
  RemoteForward 0 localhost:22
  RemoteForward 1080
  DynamicForward 127.0.0.1:1080
  GatewayPorts yes
  PermitRemoteOpen [::1]:80 *:443 web:*
  StreamLocalBindMask 0117
  ForwardAgent /other
  ControlMaster autoask
  ControlPath ~/c-%C-%%
  ControlPersist 2m
  ProxyJump a@b:3,[::1]:4
  ProxyUseFdpass yes
  AddKeysToAgent confirm 1h
  ChannelTimeout session=1h direct-*=5m
  CanonicalizePermittedCNAMEs *.a:*.b c:d
  CanonicalDomains a.example b.example
  PKCS11Provider /lib/p11.so
  SecurityKeyProvider /lib/sk.so
  KbdInteractiveDevices pam,bsdauth
  PermitLocalCommand yes
  LocalCommand echo "a  b" 100%% # %h
  KnownHostsCommand /bin/known %H "a b"
  UpdateHostKeys ask
"""


def settings_of(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text)
    files = [ConfigFile(str(path), str(tmp_path), required=True)]
    return load_client("h", facts=FACTS, files=files)


@pytest.mark.parametrize("text", ["", "PermitRemoteOpen none", EVERYTHING])
def test_the_lines_give_the_same_settings_again(tmp_path, text):
    first = settings_of(tmp_path, text)
    lines = list(lines_of(first))
    again = settings_of(tmp_path, "\n".join(lines))
    assert list(lines_of(again)) == lines
    unlike = {
        name for name in type(first).__slots__ if getattr(first, name) != getattr(again, name)
    }
    assert unlike <= {"identity_files_given", "host_key_algorithms", "pubkey_accepted_algorithms",
                      "ca_signature_algorithms", "kex_algorithms",
                      "hostbased_accepted_algorithms"}  # fmt: skip


def test_the_agent_in_use_is_yes_as_with_ssh(tmp_path):
    lines = list(lines_of(settings_of(tmp_path, "ForwardAgent yes")))
    assert "forwardagent yes" in lines


def test_every_keyword_with_a_value_has_a_line(tmp_path):
    named = {line.split()[0] for line in lines_of(settings_of(tmp_path, EVERYTHING))}
    wanted = {row.name.lower() for row in CLIENT_KEYWORDS.rows if row.field}
    assert wanted - named == {"refuseconnection", "proxycommand"}


def test_the_program_answers_at_once_and_loads_nothing_for_a_network():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qsh", "-F", "none", "-G", "-p2", "u@box"],
        capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0
    assert {"host box", "user u", "port 2", "hostname box"} <= set(done.stdout.splitlines())
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"asyncio", "asyncssh", "cryptography", "aioquic", "prompt_toolkit"}
