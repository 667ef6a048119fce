"""Who listens at a socket, asked of the kernel."""

import os
import socket

from qsh.server.holder.behind import pid_behind


def test_the_process_that_listens_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is bounded
    name = f"1-{os.urandom(16).hex()}"
    assert pid_behind(name) == 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"./{name}")
        assert pid_behind(name) == 0  # nobody listens yet
        sock.listen(1)
        assert pid_behind(name) == os.getpid()
    assert pid_behind(name) == 0
