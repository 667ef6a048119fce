"""What an administrator sets for accounts, seen by their users: who comes in, into what."""

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from qsh.server.accounts.utmp import BTMP, WTMP
from tests.integration.harness import certify, make_key, public
from tests.integration.raw_client import wait_until
from tests.pam_system import PASSWORD

pytestmark = [pytest.mark.root, pytest.mark.one_pair]


@pytest.fixture
def folder():
    """A folder that only root can change, all the way up; /tmp is not."""
    path = Path(f"/var/lib/qsh-test-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def serve(own_daemon, new_client, account):
    """A client of a daemon with these settings that comes as the account: serve("…") → Client.
    Its key is in the account's ~/.ssh/keys."""

    def start(*settings, options=()):
        given = {line.split()[0] for line in settings}
        files = () if "AuthorizedKeysFile" in given else ("AuthorizedKeysFile .ssh/keys",)
        start.daemon = daemon = own_daemon("UsePAM no", *files, *settings)
        client = new_client(daemon)
        client.configure(f"User {account.name}", *options)
        keys = Path(account.entry.pw_dir) / ".ssh" / "keys"
        keys.parent.mkdir(exist_ok=True)
        keys.write_text(public(client.key) + "\n")
        return client

    return start


def script(path, text, mode=0o755):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path




# ---------------------------------------------------------------- commands


def test_keys_from_a_command(serve, folder, account):
    """It runs as its user, with the tokens as whole arguments, and options count."""
    seen = folder / "seen"
    seen.mkdir()
    seen.chmod(0o777)
    program = script(
        folder / "keys", f'(id -un; printf "%s\\n" "$@") >{seen}/asked\ncat {folder}/list'
    )
    client = serve("AuthorizedKeysFile none", f"AuthorizedKeysCommand {program} %u %t %k '%C' %U",
                   "AuthorizedKeysCommandUser nobody")  # fmt: skip
    key = public(client.key).split()
    (folder / "list").write_text(f'environment="A=1",command="echo forced" {" ".join(key)}\n')
    assert client("host", "id").stdout == b"forced\n"
    who, user, kind, blob, ends, uid = (seen / "asked").read_text().splitlines()
    assert (who, user, kind, blob) == ("nobody", account.name, *key[:2])
    assert (ends.split()[0], uid) == ("127.0.0.1", str(account.entry.pw_uid))


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("cat {list}; exit 1", 0o755, "failed, status 1"),
        ("cat {list}", 0o777, "bad ownership or modes"),
        ("cat {list}", 0o644, "AuthorizedKeysCommand: Permission denied"),
    ],
)
def test_a_command_that_is_not_to_be_believed(serve, folder, text, mode, complaint):
    listed = folder / "list"
    program = script(folder / "keys", text.format(list=listed), mode)
    client = serve("AuthorizedKeysFile none", f"AuthorizedKeysCommand {program}",
                   "AuthorizedKeysCommandUser nobody")  # fmt: skip
    listed.write_text(public(client.key) + "\n")
    assert client("host", "true").status == 255
    assert serve.daemon.wait_for_log(complaint)


def test_principals_from_a_command_or_a_file(serve, folder, tmp_path, account):
    authority = make_key(tmp_path / "ca")
    program = script(folder / "names", 'test "$1" = test && echo operator')
    names = folder / "file"
    settings = [f"TrustedUserCAKeys {authority}.pub", f"AuthorizedPrincipalsFile {names}"]
    command = [f"AuthorizedPrincipalsCommand {program} %i",
               "AuthorizedPrincipalsCommandUser nobody"]  # fmt: skip
    client = serve("AuthorizedKeysFile none", *settings, *command)
    certify(authority, client.key, "-n", "operator")
    assert client("host", "id -un").stdout.decode() == f"{account.name}\n"
    certify(authority, client.key, "-n", "admin")
    assert client("host", "true").status == 255
    names.write_text('command="echo by file" admin\n')
    assert client("host", "true").stdout == b"by file\n"
    certify(authority, client.key, "-n", account.name)  # its name alone does not do any more
    assert client("host", "true").status == 255


def test_revoked_by_a_real_krl(serve, tmp_path):
    krl = tmp_path / "krl"
    client = serve(f"RevokedKeys {krl}")
    other = make_key(tmp_path / "other")
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", krl, f"{other}.pub"], check=True)
    assert client("host", "true").status == 0
    subprocess.run(["ssh-keygen", "-q", "-k", "-u", "-f", krl, f"{client.key}.pub"], check=True)
    assert client("host", "true").status == 255
    assert serve.daemon.wait_for_log("is revoked by")


# ---------------------------------------------------------------- what is exposed


def test_how_the_user_logged_in(serve, account, tmp_path):
    askpass = script(tmp_path / "askpass", f"echo '{PASSWORD}'")
    client = serve("ExposeAuthInfo yes", "AuthenticationMethods publickey,password")
    env = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    done = client("host", 'cat "$SSH_USER_AUTH"; stat -c "%U %a" "$SSH_USER_AUTH"; '
                  'echo $SSH_USER_AUTH', env=env)  # fmt: skip
    first, second, owner, path = done.stdout.decode().splitlines()
    assert first == f"publickey {' '.join(public(client.key).split()[:2])}"
    assert (second, owner) == ("password", f"{account.name} 600")
    assert path.startswith("/tmp/sshauth.")
    assert wait_until(lambda: not Path(path).exists())
    assert serve("ExposeAuthInfo no")("host", "echo -$SSH_USER_AUTH-").stdout == b"--\n"


# ---------------------------------------------------------------- roots


def furnish(root):
    """A shell and what it needs."""
    for program in ("/bin/sh", "/bin/cat"):
        shown = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        for word in [program, *(w for w in shown.split() if w.startswith("/"))]:
            target = root / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, target)


def test_a_shell_in_a_root_of_its_own(serve, folder, account):
    root = folder / account.name
    root.mkdir()
    furnish(root)
    (root / "inside").write_text("inside\n")
    (root / account.entry.pw_dir.lstrip("/")).mkdir(parents=True)
    account.change("-s", "/bin/sh")
    client = serve(f"ChrootDirectory {folder}/%u")
    done = client("host", "pwd; cat /inside; cat /etc/passwd")
    assert done.stdout.decode().splitlines() == [account.entry.pw_dir, "inside"]
    assert "/etc/passwd" in done.stderr
    assert client("-t", "-t", "host", "cat /inside").stdout.strip() == b"inside"


def test_files_alone_in_a_root_of_their_own(serve, folder, account, tmp_path):
    """The administrator's usual cage: no shell, no files of the system in it."""
    root, place = folder / "root", folder / "root" / "upload"
    place.mkdir(parents=True)
    shutil.chown(place, account.name)
    client = serve(f"ChrootDirectory {root}", "ForceCommand internal-sftp -d /upload")
    rc = Path(account.entry.pw_dir) / ".ssh" / "rc"
    rc.write_text("touch /upload/rc\n")
    (tmp_path / "file").write_text("text")
    qsh = script(tmp_path / "qsh", " ".join(client.command()) + ' "$@"')
    done = subprocess.run(
        ["sftp", "-q", "-b", "-", "-S", qsh, "host"], capture_output=True, text=True, timeout=60,
        env=client.environment, input=f"put {tmp_path}/file\npwd\nls -l /\nget /etc/passwd\n",
    )  # fmt: skip
    assert "Remote working directory: /upload" in done.stdout
    assert "upload" in done.stdout
    assert "/etc/passwd" in done.stderr
    assert (place / "file").read_text() == "text"
    assert (place / "file").owner() == account.name
    assert not (place / "rc").exists()
    assert b"sftp connections only" in client("host", "id").stderr.encode()


def test_forwards_are_in_the_root_too(serve, folder, account, tmp_path):
    """Else a socket of the system's would lead out of it."""
    outside = folder / "outside"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(outside))
        listener.listen()
        listener.settimeout(20)
        outside.chmod(0o777)
        root = folder / "root"
        root.mkdir()
        for settings, reaches in (((), True), ((f"ChrootDirectory {root}",), False)):
            client = serve(*settings)
            near = tmp_path / f"near{reaches:d}"
            process = client.start("-N", "-L", f"{near}:{outside}", "host")
            try:
                assert wait_until(near.exists)
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(str(near))
                    sock.settimeout(20)
                    if reaches:
                        listener.accept()[0].close()
                    assert sock.recv(1) == b""
            finally:
                process.kill()
                process.communicate()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("wrong", ["mode", "owner", "missing", "file"])
def test_a_root_that_is_no_good(serve, folder, account, wrong):
    root = folder / "root"
    if wrong == "file":
        root.touch()
    elif wrong != "missing":
        root.mkdir()
        root.chmod(0o777 if wrong == "mode" else 0o755)
        os.chown(root, 0 if wrong == "mode" else account.entry.pw_uid, 0)
    client = serve(f"ChrootDirectory {root}")
    assert client("host", "true").status == 255
    assert serve.daemon.wait_for_log({
        "mode": "bad ownership or modes for chroot directory component",
        "owner": "bad ownership or modes for chroot directory component",
        "missing": "No such file or directory", "file": "is not a directory",
    }[wrong])  # fmt: skip


# ---------------------------------------------------------------- names of clients


def test_the_clients_name_counts_where_usedns_asks_for_it(serve, tmp_path, account):
    """127.0.0.1 is localhost here, and localhost is 127.0.0.1."""
    blocks = tmp_path / "blocks"
    blocks.write_text("Match Host localhost\nForceCommand echo by name\n")
    by_name = serve("UseDNS yes", f"Include {blocks}", f"AllowUsers {account.name}@localhost")
    assert by_name("host", "id").stdout == b"by name\n"
    by_address = serve(f"Include {blocks}")
    assert by_address("host", "echo no name").stdout == b"no name\n"
    refused = serve(f"AllowUsers {account.name}@localhost")
    assert refused("host", "true").status == 255


# ---------------------------------------------------------------- rc


def test_rc_runs_but_not_beside_a_forced_command(serve, account):
    client = serve()
    rc = Path(account.entry.pw_dir) / ".ssh" / "rc"
    rc.write_text("echo from rc\n")
    assert client("host", "echo command").stdout == b"from rc\ncommand\n"
    assert serve("PermitUserRC no")("host", "echo command").stdout == b"command\n"
    assert serve("ForceCommand echo forced")("host", "x").stdout == b"forced\n"


# ---------------------------------------------------------------- who was here


def shown_by(program, path):
    return subprocess.run([program, "-f", path], capture_output=True, text=True).stdout


@pytest.mark.skipif(not Path(WTMP).exists() or not shutil.which("last"), reason="no wtmp here")
def test_last_shows_the_terminals_user(serve, account):
    client = serve("CommandTimeout 0", "SessionTimeout 0")
    assert client("-t", "-t", "host", "tty").status == 0
    assert wait_until(lambda: f"{account.name[:8]}" in shown_by("last", WTMP))
    line = next(t for t in shown_by("last", WTMP).splitlines() if account.name[:8] in t)
    assert "pts/" in line
    assert "127.0.0.1" in line
    assert wait_until(lambda: "still" not in next(
        t for t in shown_by("last", WTMP).splitlines() if account.name[:8] in t))  # fmt: skip


@pytest.mark.skipif(not Path(BTMP).exists() or not shutil.which("lastb"), reason="no btmp here")
def test_lastb_shows_failed_passwords(serve, account, tmp_path):
    if stat.S_IMODE(Path(BTMP).stat().st_mode) & 0o007:
        pytest.skip("btmp is open to others here")
    askpass = script(tmp_path / "askpass", "echo wrong")
    client = serve(options=("PubkeyAuthentication no", "NumberOfPasswordPrompts 1"))
    env = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    assert client("host", "true", env=env).status == 255
    assert account.name[:8] in shown_by("lastb", BTMP)


# ---------------------------------------------------------------- secrets


def test_no_secret_is_in_any_log(serve, account, tmp_path):
    """A login by key and password, wrong and right, at DEBUG3 on both sides."""
    askpass = script(tmp_path / "askpass", f"""test -e {tmp_path}/tried || {{
        touch {tmp_path}/tried; echo 'a wrong horse'; exit; }}; echo '{PASSWORD}'""")
    client = serve("LogLevel DEBUG3", "AuthenticationMethods publickey,password",
                   "AcceptEnv TOKEN", "PermitUserEnvironment yes")  # fmt: skip
    env = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "TOKEN": "t0ken-value"}
    done = client("-vvv", "-o", "SendEnv TOKEN", "-E", str(tmp_path / "log"), "host",
                  "cat; echo $TOKEN", stdin=b"typed secret", env=env)  # fmt: skip
    assert done.stdout == b"typed secrett0ken-value\n"
    assert done.stderr == ""
    assert serve.daemon.wait_for_log(f"Accepted password for {account.name}")
    logs = serve.daemon.log + (tmp_path / "log").read_text()
    assert "debug3" in logs or "debug2" in logs
    private = "".join(client.key.read_text().split("\n")[1:-2])
    secrets = [PASSWORD, "a wrong horse", account.hash, "t0ken-value", "typed secret",
               private[-60:-20]]  # fmt: skip
    for secret in secrets:
        assert secret not in logs
        assert secret.encode().hex() not in logs
