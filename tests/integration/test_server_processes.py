"""Which process is what: users, rights, memory, files, as the kernel tells it; limits and ends.

As root and as a plain user the same processes serve; what only root can do is marked.
"""

import asyncio
import os
import pwd
import re
import signal
import subprocess
from pathlib import Path

import pytest

from qsh.auth.private_key import load_private
from qsh.paths import state_folder
from qsh.wire.channel_messages import SessionOpen
from qsh.wire.start_messages import ExecRequest
from tests.integration.raw_client import IDLE, connected, named, processes_of, wait_for, wait_until

IS_ROOT = os.geteuid() == 0
READABLE_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r[w-]")


@pytest.fixture
def with_session(own_daemon, new_client):
    """Run `scenario(daemon, client)` while a command sleeps in a session."""

    def run(scenario, *settings):
        daemon = own_daemon(*settings)
        key = new_client(daemon).key

        async def whole():
            async with connected(daemon, key) as client:
                channel = await client.session()
                assert await channel.request(ExecRequest(b"echo ready; exec sleep 300"))
                assert await channel.read() == b"ready\n"
                assert await wait_for(lambda: named(daemon, "sleep"))
                return await asyncio.wait_for(scenario(daemon, client), 60)

        return daemon, asyncio.run(whole())

    return run


def facts(pid):
    """/proc/PID/status as a mapping."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def open_files(pid):
    folder = Path(f"/proc/{pid}/fd")
    return [str((folder / name).readlink()) for name in os.listdir(folder)]


def memory_holds(pid, secret):
    """Whether the bytes are anywhere in the process's writable memory."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = READABLE_REGION.match(line)
            if match is None or " rw" not in line:
                continue
            start, end = (int(text, 16) for text in match.groups())
            try:
                memory.seek(start)
                if secret in memory.read(end - start):
                    return True
            except (OSError, ValueError):
                continue
    return False


def one(daemon, name):
    (pid,) = named(daemon, name)
    return pid


def test_the_processes_of_one_connection(with_session):
    async def scenario(daemon, client):
        return sorted(processes_of(daemon).values())

    _, names = with_session(scenario)
    assert names == ["qsh-holder", "qshd-keys", "qshd-launcher", "qshd-monitor", "qshd-worker",
                     "qshd-zygote", "sleep"]  # fmt: skip


@pytest.mark.parametrize("name", ["qshd-worker", "qsh-holder", "qshd-monitor", "qshd-keys",
                                  "qshd-launcher", "qshd-zygote"])
def test_no_process_can_be_looked_into(with_session, name):
    """Not dumpable: /proc/PID/mem belongs to root, also for the process's own user."""

    async def scenario(daemon, client):
        return Path(f"/proc/{one(daemon, name)}/mem").lstat().st_uid

    assert with_session(scenario)[1] == 0


def test_the_worker_gains_nothing_and_has_little(with_session):
    async def scenario(daemon, client):
        worker = one(daemon, "qshd-worker")
        return facts(worker), Path(f"/proc/{worker}/limits").read_text()

    status, limits = with_session(scenario)[1]
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert re.search(r"Max processes\s+0\s+0", limits)
    assert re.search(r"Max core file size\s+0\s+0", limits)
    assert re.search(r"Max data size\s+536870912\s+536870912", limits)


@pytest.mark.root  # nobody else may look: the worker is not dumpable
def test_the_worker_has_no_files(with_session):
    async def scenario(daemon, client):
        return open_files(one(daemon, "qshd-worker"))

    files = with_session(scenario)[1]
    allowed = re.compile(r"/dev/null|socket:.*|anon_inode:\[eventpoll\]")
    assert [path for path in files if not allowed.fullmatch(path)] == []
    assert len(files) <= 12


@pytest.mark.root
def test_the_worker_of_root_is_nobody_in_nowhere(with_session):
    async def scenario(daemon, client):
        worker = one(daemon, "qshd-worker")
        root = Path(f"/proc/{worker}/root")
        return facts(worker), os.listdir(root), str(root.readlink()), root.stat()

    status, listing, path, root = with_session(scenario)[1]
    users = [name for name in ("qshd", "nobody") if name in {p.pw_name for p in pwd.getpwall()}]
    uid = str(pwd.getpwnam(users[0]).pw_uid)
    gid = str(pwd.getpwnam(users[0]).pw_gid)
    assert status["Uid"] == [uid] * 4
    assert status["Gid"] == [gid] * 4
    assert status["Groups"] == [gid]
    assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (listing, path) == ([], "/run/qsh/empty")
    assert root.st_uid == 0
    assert not root.st_mode & 0o022


@pytest.fixture
def alice():
    """A throw-away account with a group beside its own, and an empty ~/.ssh/authorized_keys."""
    name = f"qshsrv{os.getpid()}"
    group = f"{name}g"
    subprocess.run(["groupadd", group], check=True)
    # `*` is no password; useradd's own `!` would be a locked account.
    add = ["useradd", "-m", "-s", "/bin/sh", "-G", group, "-p", "*", name]
    subprocess.run(add, check=True)
    account = pwd.getpwnam(name)
    keys = Path(account.pw_dir) / ".ssh" / "authorized_keys"
    keys.parent.mkdir(mode=0o700)
    keys.touch(0o600)
    for path in (keys.parent, keys):
        os.chown(path, account.pw_uid, account.pw_gid)
    yield account
    subprocess.run(["userdel", "-rf", name], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["groupdel", group], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.root
def test_the_users_processes_are_the_users(own_daemon, new_client, alice):
    """A plain account logs in to root's qshd: uid, gid, groups, files; StrictModes."""
    daemon = own_daemon("AuthorizedKeysFile .ssh/authorized_keys", "StrictModes yes")
    client = new_client(daemon)
    keys = Path(alice.pw_dir) / ".ssh" / "authorized_keys"
    keys.write_text(daemon.authorized_keys.read_text())

    async def scenario():
        async with connected(daemon, client.key, login=False) as raw:
            assert type(await raw.log_in(user=alice.pw_name)).__name__ == "LoginSucceeded"
            told = (await raw.run(b"id -un; id -Gn; pwd; umask; cat /etc/shadow"))[0]
            channel = await raw.session()
            await channel.request(ExecRequest(b"exec sleep 300"))
            assert await wait_for(lambda: named(daemon, "sleep"))
            holder, child = one(daemon, "qsh-holder"), one(daemon, "sleep")
            return told.decode().split("\n"), facts(holder), facts(child), open_files(child)

    told, holder, child, files = asyncio.run(scenario())
    name = alice.pw_name
    assert told == [name, f"{name} {name}g", alice.pw_dir, "0022", ""]
    for status in (holder, child):
        assert status["Uid"] == [str(alice.pw_uid)] * 4
        assert status["Gid"] == [str(alice.pw_gid)] * 4
        assert status["CapEff"] == ["0" * 16]
    assert len(files) == 3
    keys.chmod(0o666)
    assert client.run("-l", name, "-o", "BatchMode=yes", "host", "true").status == 255
    assert daemon.wait_for_log("Authentication refused: bad ownership or modes for file")


@pytest.mark.root
def test_only_the_key_process_holds_a_host_key(with_session):
    async def scenario(daemon, client):
        private = Path(daemon.host_key).read_bytes()
        seed = ed25519_seed(daemon.host_key)
        found = {
            name
            for pid, name in {**processes_of(daemon), daemon.process.pid: "listener"}.items()
            if memory_holds(pid, seed) or memory_holds(pid, private[60:120])
        }
        return found, [open_files(pid) for pid in processes_of(daemon)]

    daemon, (found, files) = with_session(scenario)
    assert found == {"qshd-keys"}
    assert all(str(daemon.host_key) not in paths for paths in files)


@pytest.mark.root
def test_the_listeners_keys_are_in_no_worker_or_holder(with_session):
    async def scenario(daemon, client):
        keys = (Path(state_folder()) / "connection_keys").read_bytes()
        return {
            name
            for pid, name in {**processes_of(daemon), daemon.process.pid: "listener"}.items()
            if any(memory_holds(pid, keys[at : at + 32]) for at in (0, 32, 64))
        }

    assert with_session(scenario)[1] == {"listener", "qshd-launcher", "qshd-monitor"}


def ed25519_seed(path):
    """The secret half of a key, which is what must not be found."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_ssh_private_key,
    )

    assert load_private(str(path)).public.algorithm == "ssh-ed25519"
    key = load_ssh_private_key(Path(path).read_bytes(), None)
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def test_two_workers_share_no_randomness(daemon, new_client):
    """Engines and random state are made after the fork."""
    key = new_client(daemon).key

    async def ids():
        seen, certificates = [], []
        for _ in range(3):
            async with connected(daemon, key) as client:
                seen.append(ids_of(client.connection.engine))
                certificates.append(client.connection.peer_certificate)
        return seen, certificates

    seen, certificates = asyncio.run(ids())
    assert len(set(certificates)) == 3
    every = [connection_id for one_workers in seen for connection_id in one_workers]
    assert every
    assert len(set(every)) == len(every)


def ids_of(engine):
    """The server's connection IDs that the client knows of."""
    if engine.name != "aioquic":
        pytest.skip("only aioquic shows the peer's connection IDs")
    quic = engine._quic if hasattr(engine, "_quic") else engine._connection
    return [quic._peer_cid.cid, *(one.cid for one in quic._peer_cid_available)]


# ---------------------------------------------------------------- ends


def test_kill_of_the_worker_ends_its_holders_and_nobody_else(with_session, new_client):
    async def scenario(daemon, client):
        listener = daemon.process.pid
        other = new_client(daemon, "other")
        daemon.authorize(client.key.public.authorized_line(), Path(f"{other.key}.pub").read_text())
        async with connected(daemon, other.key) as bystander:
            first = min(named(daemon, "qshd-worker"))
            os.kill(first, signal.SIGKILL)
            gone = await wait_for(lambda: len(named(daemon, "sleep")) == 0)
            alive = await bystander.run(b"echo fine")
        assert os.path.exists(f"/proc/{listener}")
        client.connection.open_channel(SessionOpen())  # whoever speaks learns of it
        await asyncio.wait_for(client.connection.wait_closed(), 20)
        return gone, alive

    daemon, (gone, alive) = with_session(scenario)
    assert gone
    assert alive == (b"fine\n", b"", 0)
    assert "was killed by signal 9" in daemon.log
    assert wait_until(lambda: set(processes_of(daemon).values()) <= IDLE)


def test_kill_of_the_monitor_ends_the_connection(with_session, new_client):
    async def scenario(daemon, client):
        everybody = [pid for pid, name in processes_of(daemon).items() if name not in IDLE]
        os.kill(one(daemon, "qshd-monitor"), signal.SIGKILL)
        closed = await asyncio.wait_for(client.connection.wait_closed(), 20)
        gone = await wait_for(lambda: not any(os.path.exists(f"/proc/{p}") for p in everybody))
        assert new_client(daemon).run("host", "true").status == 0
        return closed, gone

    closed, gone = with_session(scenario)[1]
    assert closed.by_application
    assert gone


def test_kill_of_the_key_process_is_repaired(daemon, qsh):
    (keys,) = named(daemon, "qshd-keys")
    os.kill(keys, signal.SIGKILL)
    assert wait_until(lambda: named(daemon, "qshd-keys") != [keys])
    assert qsh("host", "echo", "fine").stdout == b"fine\n"
    assert named(daemon, "qshd-keys") not in ([], [keys])
    assert "the host key process is gone" in daemon.log


def test_connections_outlive_the_listener(own_daemon, new_client):
    daemon = own_daemon()
    client = new_client(daemon)
    with client.start("host", "cat") as running:
        running.stdin.write(b"one\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"one\n"
        daemon.process.kill()
        daemon.process.wait()
        running.stdin.write(b"two\n")
        running.stdin.close()
        assert running.stdout.readline() == b"two\n"
        assert running.wait(20) == 0


def test_sigterm_ends_the_listener_with_a_line(own_daemon):
    daemon = own_daemon()
    keys = named(daemon, "qshd-keys")[0]
    daemon.process.terminate()
    assert daemon.process.wait(10) == 0
    assert "Received signal 15; terminating." in daemon.log
    assert wait_until(lambda: not os.path.exists(f"/proc/{keys}"))


def test_sighup_reads_the_configuration_again(own_daemon, new_client):
    daemon = own_daemon("MaxSessions 10")
    client = new_client(daemon)
    config = daemon.folder / "qshd_config"
    before = config.read_text()
    config.write_text(before.replace("MaxSessions 10", "ForceCommand echo changed"))
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.wait_for_log("Received SIGHUP")
    assert wait_until(lambda: client.run("host", "true").stdout == b"changed\n")
    config.write_text("Nonsense yes\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.wait_for_log("going on as before")
    assert client.run("host", "true").stdout == b"changed\n"


def test_no_zombies(daemon, qsh):
    for _ in range(3):
        assert qsh("host", "true").status == 0
    assert wait_until(lambda: set(processes_of(daemon).values()) <= IDLE)
