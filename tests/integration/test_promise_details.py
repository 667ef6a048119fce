"""Details that scripts and tools rely on: stderr, banners, ports, names, commands."""

import pytest

from tests.integration.harness import USER
from tests.integration.relay import Relay

pytestmark = pytest.mark.one_pair


@pytest.mark.parametrize("words", [["-E"], ["-vvvE"], ["-oLogLevel=DEBUG3", "-E"]])
def test_with_a_log_file_stderr_is_the_remote_sides_alone(qsh, tmp_path, words):
    log = tmp_path / "log"
    *before, last = words
    done = qsh(*before, last, log, "host", "echo out; echo err >&2; exit 4")
    assert (done.status, done.stdout, done.stderr) == (4, b"out\n", "err\n")
    assert ("debug3: " in log.read_text()) == ("DEBUG3" in words[0] or "vvv" in words[0])
    attached = qsh(f"-E{log}", "-o", "Port=1", "-o", "ConnectTimeout=1", "host", "true")
    assert (attached.status, attached.stderr) == (255, "")
    assert "cannot connect" in log.read_text()


@pytest.mark.parametrize(
    "text", [b"Welcome.\n", b"no end", b"a\n\n  b\t\n\n", "Grüße\r\nzwei\r\n".encode(), b"\n"]
)
def test_a_banner_arrives_byte_for_byte(own_daemon, new_client, tmp_path, text):
    banner = tmp_path / "banner"
    banner.write_bytes(text)
    qsh = new_client(own_daemon(f"Banner {banner}"))
    done = qsh.start("host", "true", start_new_session=True)
    _, stderr = done.communicate(timeout=30)
    assert (done.returncode, stderr) == (0, text)
    assert qsh("-q", "host", "true").stderr == ""


@pytest.mark.parametrize("port", ["0", "65536", "2000blah", "-1", "", "22 23"])
@pytest.mark.parametrize("way", ["-p", "-oPort={}", "ssh://host:{}"])
def test_ports_that_are_none_are_refused(qsh, port, way):
    words = ["-p", port] if way == "-p" else [way.format(port)]
    if way.startswith("ssh"):
        if not port:
            pytest.skip("a URI may end in a colon")
    else:
        words.append("host")
    done = qsh(*words, "true", timeout=10)
    assert done.status == 255
    assert done.stderr.startswith("qsh: ")
    assert done.stderr.count("\n") == 1


def test_a_style_after_the_user(qsh):
    """`user:style@host`: sshd takes the style off, and the signature holds both."""
    qsh.configure(f"IdentityFile {qsh.key}", "User none")
    qsh.config.write_text(qsh.config.read_text().replace("User none", ""))
    done = qsh(f"{USER}:skey@host", "id -un")
    assert (done.status, done.stdout.decode().strip()) == (0, USER), done.stderr
    assert qsh(f"{USER}x:skey@host", "true").status == 255


def test_a_command_of_the_configuration(qsh):
    qsh.configure('RemoteCommand echo "%n  %h" %%')
    assert qsh("host").stdout == b"host  127.0.0.1 %\n"
    assert qsh("host", "other").status == 255
    assert qsh("-o", "RemoteCommand=none", "host", "echo other").stdout == b"other\n"


def test_options_after_the_host_and_in_clusters(qsh, tmp_path):
    qsh.configure()
    done = qsh("-Tqo", "SetEnv=X=1", "host", "-oLogLevel=ERROR", "-n", "echo", "-n", "a", "-x")
    assert (done.status, done.stdout) == (0, b"a -x")


def test_a_session_that_is_idle_for_too_long(qsh):
    done = qsh("-o", "ChannelTimeout=session=1s", "host", "echo in; sleep 60", timeout=20)
    assert done.stdout == b"in\n"
    assert done.status == 255
    busy = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done"
    assert qsh("-o", "ChannelTimeout=session=1s", "host", busy).status == 0


@pytest.mark.parametrize(
    ("name", "group"), [("ecdh-sha2-nistp256", "secp256r1"), ("curve25519-sha256", "X25519")]
)
def test_kexalgorithms_chooses_how_keys_are_agreed_on(qsh, name, group):
    done = qsh("-vo", f"KexAlgorithms={name}", "host", "true")
    assert done.status == 0, done.stderr
    assert f"TLS key exchange: {group}\n" in done.stderr


def test_kexalgorithms_that_leave_nothing_in_common(qsh, own_daemon, new_client):
    none = qsh("-o", "KexAlgorithms=diffie-hellman-group14-sha256", "host", "true")
    assert none.status == 255
    assert "leaves no key exchange" in none.stderr
    strict = new_client(own_daemon("KexAlgorithms ecdh-sha2-nistp384"))
    assert strict("-o", "KexAlgorithms=ecdh-sha2-nistp384", "host", "true").status == 0
    other = strict("-o", "KexAlgorithms=curve25519-sha256", "host", "true", timeout=30)
    assert other.status == 255
    assert other.stderr.startswith("qsh: ")


def test_logverbose_names_places_in_the_source(qsh, own_daemon, new_client):
    assert qsh("host", "true").stderr == ""
    done = qsh("-o", "LogVerbose=visit.py:*,nonsense.py:*", "host", "true")
    assert "TLS key exchange: " in done.stderr
    assert {line.split(": ")[1] for line in done.stderr.splitlines()} == {"client"}
    daemon = own_daemon("LogLevel ERROR", "LogVerbose login_report.py:*")
    assert new_client(daemon)("host", "true").status == 0
    assert "Accepted publickey" in daemon.log


@pytest.mark.parametrize(
    ("value", "group", "warns"),
    [("yes", "curve25519-sha256", True), ("no", "curve25519-sha256", False),
     ("no-pq-kex", "curve25519-sha256", False)],
)  # fmt: skip
def test_a_warning_of_weak_crypto(qsh, value, group, warns):
    done = qsh("-o", f"WarnWeakCrypto={value}", "-o", f"KexAlgorithms={group}", "host", "true")
    assert done.status == 0
    assert ("WARNING" in done.stderr) is warns


def test_the_server_may_add_a_text_to_its_version(own_daemon, new_client):
    qsh = new_client(own_daemon("VersionAddendum rack 7, Bern"))
    assert "the server adds: rack 7, Bern\n" in qsh("-v", "host", "true").stderr
    assert qsh("host", "true").stderr == ""


def test_the_client_may_add_a_text_to_its_version(qsh, daemon):
    text = "laptop of Ada\x1b[1m"
    assert qsh("-o", f"VersionAddendum={text}", "host", "true").status == 0
    assert daemon.wait_for_log("the client adds: laptop of Ada\\x1b[1m [worker]\n"), daemon.log
    qsh.configure("VersionAddendum none")
    assert qsh("host", "true").status == 0
    assert daemon.log.count("the client adds: ") == 1


@pytest.mark.parametrize(("option", "marked"), [("-tt", 0xB8), ("-T", 0x20)])
def test_ipqos_marks_the_servers_packets(own_daemon, new_client, option, marked):
    daemon = own_daemon("IPQoS ef cs1")
    relay = Relay(daemon.port)
    qsh = new_client(daemon)
    qsh.known_hosts.write_text(daemon.known_hosts_line().replace(str(daemon.port), str(relay.port)))
    try:
        done = qsh("-p", str(relay.port), option, "host", "echo; sleep 0.2; echo")
    finally:
        relay.close()
    assert done.status == 0, done.stderr
    assert relay.classes[0] == 0
    assert relay.classes[-1] == marked
