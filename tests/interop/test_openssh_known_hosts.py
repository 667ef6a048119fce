"""known_hosts files that OpenSSH wrote, and ours as OpenSSH reads them."""

import shutil
import subprocess

import pytest

from qsh.auth.keys import public_of
from qsh.auth.known_hosts import Kind, load
from qsh.auth.known_hosts_file import add
from tests.interop.conftest import mostly_slow, run
from tests.interop.test_openssh_keys import TYPES

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""


@pytest.fixture
def host_key(keygen):
    return public_of(keygen("host", "ed25519"))


def check(path, host, port, key):
    return load([str(path)]).check(host, port, None, key, 0)


def test_names_hashed_by_ssh_keygen(tmp_path, host_key):
    path = tmp_path / "known_hosts"
    line = host_key.authorized_line()
    path.write_text(f"one,192.0.2.1 {line}\n[two]:2222 {line}\n*.example.com {line}\n")
    run("ssh-keygen", "-q", "-H", "-f", str(path))
    assert path.read_text().count("|1|") == 3
    for host, port, kind in (
        ("one", 22, Kind.KNOWN), ("192.0.2.1", 22, Kind.KNOWN), ("two", 2222, Kind.KNOWN),
        ("two", 22, Kind.UNKNOWN), ("a.example.com", 22, Kind.KNOWN), ("b", 22, Kind.UNKNOWN),
    ):
        assert check(path, host, port, host_key).kind is kind


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("name", ["host", "[host]:2222", "::1", "[::1]:2222"])
def test_ssh_keygen_finds_what_we_add(tmp_path, host_key, hashed, name):
    path = tmp_path / "known_hosts"
    host, port = (name[1:-6], 2222) if name.startswith("[") else (name, 22)
    assert add(str(path), host, port, host_key, hashed) is None
    found = run("ssh-keygen", "-F", name, "-f", str(path)).decode()
    assert f"# Host {name} found: line 1" in found
    assert host_key.authorized_line() in found


def test_ssh_keygen_removes_what_we_add(tmp_path, host_key):
    path = tmp_path / "known_hosts"
    for host in ("one", "two"):
        assert add(str(path), host, 22, host_key, hashed=True) is None
    run("ssh-keygen", "-R", "one", "-f", str(path))
    assert check(path, "one", 22, host_key).kind is Kind.UNKNOWN
    assert check(path, "two", 22, host_key).kind is Kind.KNOWN


@pytest.fixture
def ssh(tmp_path, keygen):
    """ssh(known_hosts, key path, host, port, *options): OpenSSH's client asks OpenSSH's server,
    through a pipe, up to the check of the host key. Its diagnostics."""
    try:
        run(SSHD, "-t", "-h", keygen("probe", "ed25519"), "-f", "/dev/null")
    except (AssertionError, OSError):
        pytest.skip("no working sshd here")

    def ask(path, host_path, host, port, *options):
        proxy = f"{SSHD} -i -f /dev/null -h {host_path}"
        done = subprocess.run(
            [
                "ssh", "-F", "/dev/null", "-o", f"ProxyCommand={proxy}", "-p", str(port),
                "-o", f"UserKnownHostsFile={path}", "-o", "GlobalKnownHostsFile=/dev/null",
                "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", *options, host,
                "true",
            ],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        )
        return done.stderr

    return ask


@pytest.mark.parametrize("kind", mostly_slow(TYPES, 1), ids=str)
@pytest.mark.parametrize(
    ("port", "options"), [(22, ()), (2222, ()), (2222, ("-o", "HashKnownHosts=yes"))]
)
def test_what_ssh_writes_is_known(ssh, tmp_path, keygen, kind, port, options):
    path, host_path = tmp_path / "known_hosts", keygen("host", *kind)
    said = ssh(path, host_path, "Example", port, "-o", "StrictHostKeyChecking=accept-new", *options)
    assert "Permanently added" in said
    assert check(path, "example", port, public_of(host_path)).kind is Kind.KNOWN
    assert path.read_text().startswith("|1|") == bool(options)


@pytest.mark.parametrize(("port", "hashed"), [(22, False), (22, True), (2222, True)])
def test_ssh_knows_what_we_add(ssh, tmp_path, keygen, port, hashed):
    path, host_path = tmp_path / "known_hosts", keygen("host", "ed25519")
    assert add(str(path), "example", port, public_of(host_path), hashed) is None
    said = ssh(path, host_path, "example", port, "-o", "StrictHostKeyChecking=yes")
    assert "Permission denied" in said


FILES = [
    "host {other}\nh* {host}", "@revoked * {host}\nhost {host}", "host {rsa}", "host {host}",
    "host {other}", "other {host}", "h*,!host {host}", "!host,* {host}",
    "@revoked host {other}\nhost {host}", "@cert-authority host {host}", "# x\n\nHOST {host}",
    "garbage\nhost {host}", "[host]:22 {host}", "[host]:2222 {host}", "@unknown host {host}",
    "host {host} # comment", "\thost\t{host}", "host,other {other}\nother {host}",
]


@pytest.mark.parametrize("text", mostly_slow(FILES, 3))
@pytest.mark.parametrize("port", [22, 2222])
def test_we_decide_as_ssh_does(ssh, tmp_path, keygen, text, port):
    """The same file, host and key: ssh's answer and ours."""
    kinds = {"host": ("ed25519",), "other": ("ed25519",), "rsa": ("rsa", "-b", "1024")}
    paths = {name: keygen(name, *kind) for name, kind in kinds.items()}
    keys = {name: public_of(path).authorized_line() for name, path in paths.items()}
    path = tmp_path / "known_hosts"
    path.write_text(text.format(**keys) + "\n")
    said = ssh(path, paths["host"], "host", port, "-o", "StrictHostKeyChecking=yes")
    ours = check(path, "host", port, public_of(paths["host"])).kind
    if "REVOKED" in said:
        theirs = Kind.REVOKED
    elif "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        theirs = Kind.CHANGED
    else:
        theirs = Kind.KNOWN if "Permission denied" in said else Kind.UNKNOWN
    assert ours is theirs, said


def test_a_host_certificate_is_known_as_ssh_knows_it(ssh, tmp_path, keygen):
    authority, host_path = keygen("ca", "ed25519"), keygen("host", "ed25519")
    run("ssh-keygen", "-q", "-s", authority, "-h", "-I", "id", "-n", "example", host_path)
    path = tmp_path / "known_hosts"
    path.write_text(f"@cert-authority ex* {public_of(authority).authorized_line()}\n")
    from qsh.auth.keys import certificate_of

    certificate = certificate_of(host_path)
    found = load([str(path)]).check("example", 22, None, certificate, 1_800_000_000)
    assert (found.kind, found.by_authority) == (Kind.KNOWN, True)
    found = load([str(path)]).check("exother", 22, None, certificate, 1_800_000_000)
    assert found.kind is Kind.UNKNOWN
