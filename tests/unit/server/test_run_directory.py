"""The run directory: private, found again, sockets by any length of path."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from qsh.server import run_directory


def test_it_is_its_owners_alone(tmp_path):
    path = run_directory.open_folder("connections", str(tmp_path / "run"))
    assert Path(path).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert run_directory.open_folder("connections", str(tmp_path / "run")) == path


def test_what_others_could_change_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(PermissionError):
        run_directory.open_folder("connections", str(tmp_path / "run"))


@pytest.mark.parametrize("depth", [1, 8])
def test_a_socket_is_found_by_its_name(tmp_path, depth):
    base = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * depth)
    base.mkdir(parents=True)
    folder = run_directory.open_folder("connections", str(base / "run"))
    with run_directory.bind_socket(folder, "one") as server:
        assert os.listdir(folder) == ["one"]
        with run_directory.connect_socket(folder, "one") as client:
            accepted, _ = server.accept()
            with accepted:
                assert run_directory.is_own_user(accepted)
                client.send(b"hello")
                assert accepted.recv(16) == b"hello"


def test_a_process_that_has_gone_refuses(tmp_path):
    folder = run_directory.open_folder("connections", str(tmp_path / "run"))
    run_directory.bind_socket(folder, "one").close()
    with pytest.raises(ConnectionRefusedError):
        run_directory.connect_socket(folder, "one")


def test_a_process_that_accepts_nobody_holds_up_nobody(tmp_path):
    folder = run_directory.open_folder("sessions", str(tmp_path / "run"))
    with (
        run_directory.bind_socket(folder, "stopped"),
        contextlib.ExitStack() as waiting,
        pytest.raises(BlockingIOError),
    ):
        for _ in range(64):
            waiting.enter_context(run_directory.connect_socket(folder, "stopped"))


@pytest.mark.root
def test_a_socket_of_another_user_is_refused(tmp_path):
    folder = run_directory.open_folder("connections", str(tmp_path / "run"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(f"{folder}/foreign")
        sock.listen()
        pid = os.fork()
        if pid == 0:
            try:
                os.seteuid(65534)
                sock.listen()  # the credentials of a listening socket are those of listen(2)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        with pytest.raises(PermissionError):
            run_directory.connect_socket(folder, "foreign")
