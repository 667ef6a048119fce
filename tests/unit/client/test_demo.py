"""The private server's files, and that nothing of it is ever left."""

import os
import signal
import subprocess
import sys
import time

from qsh import process_tree
from qsh.auth.private_key import load_private
from qsh.client import demo


def test_the_files_fit_together(tmp_path):
    demo.write_files(str(tmp_path))
    user = load_private(str(tmp_path / "user_key"))
    host = load_private(str(tmp_path / "host_key"))
    assert user.public.authorized_line() in (tmp_path / "authorized_keys").read_text()
    assert host.public.authorized_line() in (tmp_path / "known_hosts").read_text()
    assert all(path.stat().st_mode & 0o77 == 0 for path in tmp_path.iterdir())


SCRIPT = """
import os, sys
from qsh.client import demo
def fake(folder, ready):
    pid = os.fork()
    if not pid:
        os.write(ready, b"4711\\n")
        os.execvp("sleep", ["sleep", "60"])
    return pid
demo.start_server = fake
with demo.Demo() as server:
    print(server.folder, server.port, flush=True)
    sys.stdin.read()
"""


def started():
    client = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    folder, port = client.stdout.readline().split()
    assert port == "4711"
    return client, folder, process_tree.descendants(client.pid)


def gone(folder, family):
    deadline = time.monotonic() + 10
    while os.path.exists(folder) or any(process_tree.parent_of(pid) is not None for pid in family):
        assert time.monotonic() < deadline, (folder, family)
        time.sleep(0.02)


def test_after_the_end_nothing_is_left():
    client, folder, family = started()
    assert len(family) == 2
    client.communicate("")
    assert client.returncode == 0
    assert not os.path.exists(folder)
    gone(folder, family)


def test_after_sigkill_nothing_is_left_either():
    client, folder, family = started()
    client.send_signal(signal.SIGKILL)
    client.communicate()
    gone(folder, family)
