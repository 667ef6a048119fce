"""A real sshd and our matcher, given the same authorized_keys: both let in, or neither does."""

import getpass
import os
import socket
import subprocess
import time

import pytest

from qsh.auth.authorized_keys import match
from qsh.auth.keys import certificate_of, public_of
from tests.interop.conftest import mostly_slow, run
from tests.interop.test_openssh_known_hosts import SSHD

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PermitUserEnvironment yes
MaxStartups 100
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """(folder, port) of an sshd that lets this user in by `authorized_keys` in the folder."""
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "key", "other", "ca"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    command = [SSHD, "-D", "-e", "-f", str(folder / "config")]
    process = subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC"}
    ) if SSHD else None
    deadline = time.monotonic() + 20
    while process and process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    if process is None or process.poll() is not None:
        pytest.skip("no working sshd here")
    if not lets_in(folder, port, line(folder, "key")):
        process.kill()
        process.wait()
        pytest.skip("sshd does not let this account in here")
    yield folder, port
    process.terminate()
    process.wait()


def line(folder, name):
    return public_of(str(folder / name)).authorized_line()


def lets_in(folder, port, text, *, command="true"):
    """Whether sshd lets the user in; what the command said."""
    (folder / "authorized_keys").write_text(text + "\n")
    done = subprocess.run(
        [
            "ssh", "-F", "/dev/null", "-p", str(port), "-i", str(folder / "key"), "-o",
            "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-a", "127.0.0.1", command,
        ],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        env={k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"},
    )
    return done.returncode == 0 or b"Permission denied" not in done.stderr


def we_let_in(text, key, hostname="127.0.0.1"):
    return match(
        (text + "\n").encode(), "keys", key, user=getpass.getuser(), address="127.0.0.1",
        hostname=hostname, now=time.time(),
    ) is not None


OPTIONS = [
    'restrict,from="127.0.0.0/8"', 'from="10.0.0.0/8"', "unknown", "", "restrict",
    "RESTRICT,pty", "no-pty,no-user-rc", "ptyx", "pty,", ",pty", "pty,,pty",
    "no-restrict", "unknown", "no-cert-authority", "cert-authority", 'command="true"',
    'command="echo \\"a b\\""', 'command="true', "command=true", 'command="a",command="b"',
    'from="127.0.0.1"', 'from="127.0.0.0/8"', 'from="10.0.0.0/8"', 'from="!127.0.0.1,*"',
    'from="*,!127.0.0.0/8"', 'from="127.*"', 'from="127.0.0.1/8"', 'from="127.0.0.1,,x"',
    'from=""', 'expiry-time="20200101"', 'expiry-time="20990101Z"', 'expiry-time="20991301"',
    'expiry-time="209901011200"', 'expiry-time="soon"', 'environment="A=1"', 'environment="A"',
    'environment="A-B=1"', 'environment="=1"', 'permitopen="host:22"', 'permitopen="host"',
    'permitopen="[::1]:*"', 'permitopen="host:0"', 'permitopen="host:70000"',
    'permitopen="host:http"', 'permitopen="host:nosuchservice"', 'permitopen="a:b:1"',
    'permitlisten="8080"', 'permitlisten="localhost:*"', 'permitlisten="*"', 'permitlisten=""',
    'tunnel="3"', 'tunnel="x"', 'tunnel="any"', "no-touch-required", "verify-required",
    'principals="root"', 'principals="a",cert-authority', "agent-forwarding,no-X11-forwarding",
    "touch-required", "port-forwarding,no-port-forwarding", 'pty="yes"',
]


@pytest.mark.parametrize("options", mostly_slow(OPTIONS, 3))
def test_options_of_a_plain_key(sshd, options):
    folder, port = sshd
    text = f"{options} {line(folder, 'key')} a comment".strip()
    ours = we_let_in(text, public_of(str(folder / "key")))
    assert ours is lets_in(folder, port, text)


LINES = [
    "bad {key}\nno-pty {key}", 'command="{key}"', "{other}", "# {key}", "  {key}", "\t{key}",
    "{other}\n{key}", "bad {key}", "{key}x", "\n\n{key}\r", "pty\t{key}", "pty  {key}",
]


@pytest.mark.parametrize("text", mostly_slow(LINES, 2))
def test_lines(sshd, text):
    folder, port = sshd
    text = text.format(**{name: line(folder, name) for name in ("key", "other")})
    assert we_let_in(text, public_of(str(folder / "key"))) is lets_in(folder, port, text)


ME = getpass.getuser()


CERTIFICATES = [
    (("-n", ME), "cert-authority"),
    (("-n", ME), ""),
    (("-n", "another"), "cert-authority"),
    (("-n", "another"), 'cert-authority,principals="x,another"'),
    (("-n", "another"), f'cert-authority,principals="{ME}"'),
    (("-n", ME), 'cert-authority,from="10.0.0.0/8"'),
    (("-n", ME, "-V", "20200101:20210101"), "cert-authority"),
    (("-n", ME, "-O", "source-address=127.0.0.0/8"), "cert-authority"),
    (("-n", ME, "-O", "source-address=10.0.0.0/8"), "cert-authority"),
    (("-n", ME, "-O", "force-command=true"), "cert-authority"),
    (("-n", ME, "-O", "force-command=true"), 'cert-authority,command="true"'),
    (("-n", ME, "-O", "force-command=true"), 'cert-authority,command="false"'),
    (("-n", ME, "-O", "critical:new@qsh=x"), "cert-authority"),
    (("-n", ME, "-O", "extension:new@qsh=x"), "cert-authority"),
    (("-n", ME, "-h"), "cert-authority"),
]


@pytest.mark.parametrize("case", mostly_slow(CERTIFICATES, 3))
def test_certificates(sshd, case):
    (signing, options), (folder, port) = case, sshd
    path = str(folder / "key")
    run("ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", "id", *signing, path)
    try:
        text = f"{options} {line(folder, 'ca')}".strip()
        assert we_let_in(text, certificate_of(path)) is lets_in(folder, port, text)
    finally:
        (folder / "key-cert.pub").unlink()
