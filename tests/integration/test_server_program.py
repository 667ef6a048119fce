"""qshd as a program: options, checks before it starts, background, logs, files it writes."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.harness import QSHD, clean_environment, make_key
from tests.integration.raw_client import wait_until


@pytest.fixture
def run(tmp_path):
    """Run qshd to its end: run("-t") → CompletedProcess."""
    key = make_key(tmp_path / "host_key")
    config = tmp_path / "config"
    config.write_text(f"ListenAddress 127.0.0.1\nPort 0\nHostKey {key}\n")

    def qshd(*arguments, config=config):
        return subprocess.run(
            [*QSHD, "-f", config, *arguments], capture_output=True, text=True, timeout=60,
            env=clean_environment(tmp_path), cwd=tmp_path, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return qshd


def test_check_only(run):
    done = run("-t")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_version_and_help(run):
    assert run("--version").stdout.startswith("qshd ")
    assert run("--help").stdout.startswith("usage: qshd ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-Z"], "option -Z not recognized (qshd --help lists the options)"),
        (["word"], "unexpected argument 'word'"),
        (["-o", "Nonsense=1"], "Nonsense"),
        (["-f", "/no/such/file"], "/no/such/file"),
        (["-D", "-E", "/no/such/folder/log"], "cannot open the log"),
        (["-D", "-o", "ListenAddress=192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, arguments, complaint):
    config = arguments[1] if arguments[0] == "-f" else None
    done = run(*arguments) if config is None else run(config=config)
    assert done.returncode == 255
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("qshd: ")
    assert complaint in line


def test_a_second_one_on_the_same_port_is_refused(run, daemon):
    """SO_REUSEPORT would give it half of the newcomers in silence. Workers that outlive a listener
    are no hindrance: test_server_restart."""
    done = run("-D", "-p", str(daemon.port))
    assert done.returncode == 255
    assert done.stderr == (f"qshd: cannot listen on 127.0.0.1 port {daemon.port}: Address already "
                           "in use, perhaps by a second qshd\n")  # fmt: skip


def test_a_key_that_cannot_be_used_is_left_out(run):
    done = run("-t", "-h", "/no/such/key")
    assert done.returncode == 0  # the configuration's own is there
    assert "Unable to load host key /no/such/key" in done.stderr


def test_no_usable_host_key(run, tmp_path):
    config = tmp_path / "other"
    config.write_text(f"Port 0\nHostKey {tmp_path}/none\n")
    done = run("-t", config=config)
    assert done.returncode == 255
    assert done.stderr.startswith("qshd: no hostkeys available: Unable to load host key")


def test_a_key_that_others_may_read_is_refused(run, tmp_path):
    (tmp_path / "host_key").chmod(0o644)
    done = run("-t")
    assert done.returncode == 255
    assert "host_key" in done.stderr


def test_a_taken_port(run):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        done = run("-D", "-p", str(taken.getsockname()[1]))
    assert done.returncode == 255
    assert "Address already in use" in done.stderr


def test_in_the_background(run, tmp_path):
    """The starter gets its prompt back; the daemon has no terminal, a log and a PID file."""
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    done = run("-E", str(log), "-o", f"PidFile={pid_file}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert wait_until(pid_file.exists)
    assert wait_until(lambda: pid_file.read_text().strip())
    pid = int(pid_file.read_text())
    try:
        assert "Server listening on 127.0.0.1 port" in log.read_text()
        assert (log.stat().st_mode & 0o777) == 0o600
        assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
        assert os.getsid(pid) != os.getsid(0)
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
        assert Path(f"/proc/{pid}/fd/2").readlink() == log
    finally:
        os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not pid_file.exists())


def test_debug_says_more(tmp_path):
    key = make_key(tmp_path / "host_key")
    reader, writer = os.pipe()
    with subprocess.Popen(
        [*QSHD, "-d", "-f", "none", "-o", "ListenAddress=127.0.0.1", "-p0", "-h", key,
         "--ready-fd", str(writer)],
        stderr=subprocess.PIPE, pass_fds=[writer], env=clean_environment(tmp_path),
    ) as process:  # fmt: skip
        os.close(writer)
        with open(reader) as ready:
            port = int(ready.readline())
            assert ready.read() == ""  # closed: nobody inherits it
        assert 0 < port < 65536
        time.sleep(0.1)
        process.terminate()
        assert process.wait(10) == 0
        assert f"Server listening on 127.0.0.1 port {port}." in process.stderr.read().decode()


def test_settings_in_force_read_back(run, tmp_path):
    """-T's output is a configuration that gives the same output; -G asks for no host key."""
    first = run("-T", "-o", "MaxAuthTries=3", "-o", 'SetEnv=A="b c"')
    assert (first.returncode, first.stderr) == (0, "")
    assert "maxauthtries 3" in first.stdout.splitlines()
    again = tmp_path / "again"
    again.write_text(first.stdout)
    assert run("-T", config=again).stdout == first.stdout
    alone = tmp_path / "alone"
    alone.write_text("HostKey /no/such/key\nMatch User alice\nMaxSessions 1\n")
    assert run("-T", config=alone).returncode == 255
    assert "maxsessions 10" in run("-G", config=alone).stdout
    assert "maxsessions 1\n" in run("-G", "-C", "user=alice", config=alone).stdout


def test_keywords_that_only_sshd_has_are_accepted(run, tmp_path):
    config = tmp_path / "sshd_config"
    config.write_text(
        (tmp_path / "config").read_text()
        + "SshdSessionPath /x\nSshdAuthPath /x\nModuliFile /x\nProtocol 2\n"
        "UsePrivilegeSeparation sandbox\nChallengeResponseAuthentication no\nCiphers aes256-ctr\n"
        "MACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n"
    )
    assert run("-t", config=config).stderr == ""
    assert "ciphers aes256-ctr" in run("-T", config=config).stdout


@pytest.mark.parametrize("port", ["65536", "2000blah", "-1", ""])
def test_a_port_that_is_none(run, port):
    done = run("-t", "-p", port)
    assert done.returncode == 255
    assert "port" in done.stderr.lower() or "empty" in done.stderr


def test_the_pid_file_stands_only_while_it_listens(run, tmp_path):
    pid_file = tmp_path / "pid"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        done = run("-o", f"PidFile={pid_file}", "-p", str(taken.getsockname()[1]))
        assert done.returncode == 255
    assert not pid_file.exists()


def test_the_pid_file_goes_soon_also_with_clients_in_session(own_daemon, new_client, tmp_path):
    pid_file = tmp_path / "pid"
    daemon = own_daemon(f"PidFile {pid_file}")
    with new_client(daemon).start("host", "echo in; exec cat", bufsize=0) as session:
        assert session.stdout.readline() == b"in\n"
        assert int(pid_file.read_text()) == daemon.process.pid
        daemon.process.terminate()
        assert daemon.process.wait(15) == 0
        assert not pid_file.exists()
        session.stdin.write(b"still here\n")
        assert session.stdout.readline() == b"still here\n"
        session.stdin.close()
        assert session.wait(20) == 0


def test_options_win_over_the_file(run, tmp_path):
    """What tools start: `qshd -D -p N -o ListenAddress=… -o PidFile=…`, one port and no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(
        f"ListenAddress 192.0.2.1\nHostKey {tmp_path / 'host_key'}\nPidFile /no/such/folder/pid\n")
    words = ("-p", str(port), "-o", "ListenAddress=127.0.0.1", "-o", f"PidFile={tmp_path / 'pid'}")
    command = [*QSHD, "-D", "-e", "-f", str(tmp_path / "config"), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                          env=clean_environment(tmp_path)) as process:  # fmt: skip
        assert process.stderr.readline() == f"qshd: Server listening on 127.0.0.1 port {port}.\n"
        assert wait_until((tmp_path / "pid").exists)
        assert int((tmp_path / "pid").read_text()) == process.pid
        process.terminate()
        assert "listening" not in process.stderr.read()
        assert process.wait(15) == 0
    assert not (tmp_path / "pid").exists()
