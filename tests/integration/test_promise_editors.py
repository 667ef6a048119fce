"""Ansible, Emacs and VS Code with qsh in ssh's place, and all with their own habits."""

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.integration.forward_peers import EchoServer, free_port
from tests.integration.test_promise_tools import DATA, make_tool

pytestmark = pytest.mark.one_pair


@pytest.fixture
def tool(qsh, tmp_path):
    return make_tool(qsh, tmp_path)


@pytest.fixture
def ansible(tool):
    """ansible("-m", "ping") → CompletedProcess, for one host over qsh; several jobs share one
    connection (ControlPersist), as Ansible has it."""
    program = shutil.which("ansible") or shutil.which("ansible", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("not installed here: ansible")
    home = Path("/tmp") / f"qsh-ansible-{os.getpid()}"  # short: sockets of masters are in it
    home.mkdir(exist_ok=True)
    env = {"ANSIBLE_HOME": str(home), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
           "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8", "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
           "ANSIBLE_REMOTE_TEMP": str(home / "far")}  # fmt: skip
    facts = json.dumps({
        "ansible_ssh_executable": "qsh", "ansible_python_interpreter": sys.executable,
        "ansible_sftp_extra_args": "-S qsh", "ansible_scp_extra_args": "-S qsh",
        "ansible_ssh_common_args": "-o ControlPersist=5s",
    })  # fmt: skip

    def run(*words, **more):
        return tool(program, "host", "-i", "host,", "-e", facts, *words, **env, **more)

    yield run
    shutil.rmtree(home, ignore_errors=True)


def test_ansible_runs_modules(ansible, tool):
    (tool.here / "a").write_bytes(DATA)
    target = tool.there / "copied"
    ansible("-m", "copy", "-a", f"src={tool.here}/a dest={target} mode=0600")
    assert target.read_bytes() == DATA
    done = ansible("-m", "shell", "-a", "echo out; echo err >&2; exit 3", check=False)
    assert done.returncode == 2
    assert "rc=3" in done.stdout
    assert "UNREACHABLE" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sftp", "scp", "piped"])
def test_ansible_moves_files_in_each_of_its_ways(ansible, tool, method):
    (tool.here / "a").write_bytes(DATA)
    target = tool.there / "copied"
    ansible("-m", "copy", "-a", f"src={tool.here}/a dest={target}",
            ANSIBLE_SSH_TRANSFER_METHOD=method)  # fmt: skip
    assert target.read_bytes() == DATA
    ansible("-m", "fetch", "-a", f"src={target} dest={tool.here}/back flat=yes")
    assert (tool.here / "back").read_bytes() == DATA


TRAMP = """
(progn
  (require 'tramp)
  (setq tramp-verbose 1 tramp-persistency-file-name nil vc-handled-backends nil
        make-backup-files nil tramp-connection-timeout 30)
  (setcar (cdr (assq 'tramp-login-program (cdr (assoc "ssh" tramp-methods)))) "qsh")
  (let ((name "/ssh:host:{folder}/note"))
    (with-temp-file name (insert "written by Emacs\\n"))
    (princ (with-temp-buffer (insert-file-contents name) (buffer-string)))
    (princ (file-exists-p "/ssh:host:{folder}/missing"))
    (let ((default-directory "/ssh:host:{folder}/"))
      (princ (shell-command-to-string "pwd; cat note"))
      (princ (process-file "sh" nil nil nil "-c" "exit 4")))
    (rename-file name (concat name ".old"))))
"""


def test_tramp(tool):
    folder = tool.there
    done = tool("emacs", "-Q", "--batch", "--eval", TRAMP.replace("{folder}", str(folder)),
                TERM="dumb")  # fmt: skip
    expected = f"written by Emacs\nnil{folder}\nwritten by Emacs\n4"
    assert done.stdout.endswith(expected), done.stdout + done.stderr
    assert (folder / "note.old").read_text() == "written by Emacs\n"


def test_the_probes_of_vs_code(tool):
    """It asks for the version, reads the settings, and then talks to a shell's standard input,
    beside a SOCKS proxy on the same connection, for as long as its window is open."""
    assert "qsh" in tool("qsh", "-V").stdout
    assert f"hostname {tool.client.address}" in tool("qsh", "-G", "host").stdout
    port = free_port()
    words = ["-T", "-D", str(port), "-o", "ConnectTimeout=15", "-o", "RemoteCommand=none", "host",
             "bash"]  # fmt: skip
    with EchoServer() as echo, tool.client.start(*words, start_new_session=True) as process:
        process.stdin.write(b"echo ready: $((20+3))\nuname -s\nread line; echo got $line\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready: 23\n"
        assert process.stdout.readline() == b"Linux\n"
        with socks(port, echo.port) as proxied:
            proxied.sendall(b"through the proxy")
            assert proxied.recv(100) == b"through the proxy"
        process.stdin.write(b"more later\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got more later\n"
        process.stdin.close()
        assert process.wait(20) == 0


def socks(port, target):
    """A connection by SOCKS5 to a port of 127.0.0.1, as VS Code makes it."""
    end = time.monotonic() + 15
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=15)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.05)
    sock.sendall(b"\5\1\0")
    assert sock.recv(2) == b"\5\0"
    sock.sendall(b"\5\1\0\1\x7f\0\0\1" + target.to_bytes(2, "big"))
    assert sock.recv(10)[:2] == b"\5\0"
    return sock


def test_an_alias_for_ssh_in_a_script(tool):
    """`ssh` on the PATH is qsh: loops that read, here documents, and exit statuses."""
    script = """
    printf 'a\\nb\\n' | while read -r name; do ssh -n host "echo $name"; done
    ssh host 'cat; exit 3' <<'END'
    from here
END
    echo status $?
    ssh -o BatchMode=yes nobody@host true || echo refused $?
    """
    done = tool("bash", "-c", script)
    assert done.stdout == "a\nb\n    from here\nstatus 3\nrefused 255\n"
