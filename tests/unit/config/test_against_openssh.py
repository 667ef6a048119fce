"""The same files and options, read by qsh and by the system's `ssh -G`."""

import shutil
import subprocess

import pytest

from qsh.client.options import parse
from qsh.config.client import load_client

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="needs OpenSSH's client")

SIMPLE = {
    "hostname": "hostname", "user": "user", "port": "port", "addressfamily": "address_family",
    "connectionattempts": "connection_attempts", "loglevel": "log_level",
    "requesttty": "request_tty", "sessiontype": "session_type",
    "numberofpasswordprompts": "number_of_password_prompts",
    "serveralivecountmax": "server_alive_count_max", "requiredrsasize": "required_rsa_size",
    "hashknownhosts": "hash_known_hosts", "batchmode": "batch_mode", "stdinnull": "stdin_null",
    "identitiesonly": "identities_only", "passwordauthentication": "password_authentication",
    "kbdinteractiveauthentication": "kbd_interactive_authentication",
    "visualhostkey": "visual_host_key", "checkhostip": "check_host_ip",
    "bindaddress": "bind_address", "hostkeyalias": "host_key_alias", "tag": "tag",
    "remotecommand": "remote_command", "escapechar": "escape_char",
}  # fmt: skip
"""What `ssh -G` prints as one word → field."""

CASES = [
    ("", ["host"]),
    ("", ["u@Host"]),
    ("", ["ssh://u@host:77"]),
    ("Port 1\n", ["-p", "2", "host"]),
    ("Host a*\n User x\nHost *\n User y\n Port 9\n", ["abc"]),
    ("Host a* !ab*\n User x\nHost *\n User y\n", ["abc"]),
    ("HostName %h.example.com\nMatch host *.example.com\n User z\n", ["h"]),
    ("Match originalhost h user you\n Port 7\n", ["-l", "you", "h"]),
    ("Match !host h\n Port 7\nMatch all\n Port 8\n", ["h"]),
    ('Match exec "test %n = h"\n Port 7\n', ["h"]),
    ("Match final\n Port 7\n", ["h"]),
    ("Host h\n HostName i\nMatch final host i\n Port 7\n", ["h"]),
    ("Host h\n HostName i\nHost i\n Port 7\nMatch final\n User q\n", ["h"]),
    ("SendEnv A B\nSendEnv -A C\n", ["h"]),
    ("SetEnv A=1 B=2\nSetEnv C=3\n", ["h"]),
    ("IdentityFile /a\nIdentityFile '/b c'\nIdentityFile /a\n", ["-i", "/dev/null", "h"]),
    ("User=a\nPort = 9\nLogLevel verbose\nEscapeChar none\n", ["h"]),
    ("EscapeChar ^B\nRequestTTY force\n", ["h"]),
    ('User "a b" # c\n', ["h"]),
    ("BatchMode yes\nIdentitiesOnly true\nStdinNull yes\nHashKnownHosts no\n", ["h"]),
    ("RemoteCommand echo 'a  b'  # c\n", ["h"]),
    ("LogLevel ERROR\n", ["-v", "-v", "h"]),
    ("LogLevel ERROR\n", ["-v", "-q", "h"]),
    ("RequestTTY no\n", ["-tt", "h"]),
    ("SessionType none\n", ["h"]),
    ("", ["-N", "-n", "-6", "h"]),
    ("", ["-o", "port  33", "-oUser = q", "h"]),
    ("IgnoreUnknown Foo*\nFooBar 1 2\nPort 5\n", ["h"]),
    ("ConnectionAttempts 4\nServerAliveCountMax 9\nNumberOfPasswordPrompts 0\n", ["h"]),
    ("HostKeyAlias q\nBindAddress 192.0.2.9\nCheckHostIP yes\n", ["h"]),
]


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config"
        path.write_text(text)
        return str(path)

    return write


def by_openssh(path, words):
    """{keyword: [values]} as `ssh -G` prints them; None if it refuses the file."""
    done = subprocess.run(
        ["ssh", "-G", "-F", path, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None
    rows: dict[str, list[str]] = {}
    for row in done.stdout.splitlines():
        name, _, value = row.partition(" ")
        rows.setdefault(name, []).append(value)
    return rows


def by_qsh(path, words):
    seen = parse(["-F", path, *words])
    return load_client(seen.destination.host, seen.lines, config_file=seen.config_file)


def shown(value):
    """A value as `ssh -G` prints it."""
    text = {True: "yes", False: "no", None: "none"}.get(value, value) if not isinstance(
        value, int) or isinstance(value, bool) else value  # fmt: skip
    if isinstance(text, str) and len(text) == 1 and ord(text) < 32:
        text = f"\\^{chr(ord(text) | 64)}"  # as vis(3) writes it
    return {"DEBUG1": "DEBUG", "QUIET": "SILENT"}.get(str(text), str(text))


@pytest.mark.parametrize(("text", "words"), CASES)
def test_the_same_settings(config, text, words):
    path = config(text)
    theirs, ours = by_openssh(path, words), by_qsh(path, words)
    assert theirs is not None
    for keyword, field in SIMPLE.items():
        if keyword in theirs:
            expected = {"true": "yes", "false": "no"}.get(*theirs[keyword] * 2)
            assert shown(getattr(ours, field)) == expected, keyword
    assert list(ours.send_env) == theirs.get("sendenv", [])
    assert [f"{name}={value}" for name, value in ours.set_env] == theirs.get("setenv", [])
    if ours.identity_files_given:
        assert list(ours.identity_files) == theirs["identityfile"]


@pytest.mark.parametrize(
    "text",
    ["Nonsense 1", "Port", "Port x", "Port 0", "Port 65536", "Port 1 2", 'User "a', "Match",
     "Match nonsense", "Match host", "BatchMode maybe", "Host", "SetEnv A", "EscapeChar abc",
     "Host other\nNonsense 1", "Host other\nPort x", "LogLevel x", "RequestTTY maybe",
     "ConnectTimeout 1x", "StrictHostKeyChecking x", "AddressFamily ipv4"],
)  # fmt: skip
def test_the_same_refusals(config, text):
    path = config(text)
    assert by_openssh(path, ["h"]) is None
    with pytest.raises(Exception, match=path):
        by_qsh(path, ["h"])
