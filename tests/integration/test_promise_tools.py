"""Other people's tools with qsh in ssh's place: sftp, scp, rsync, git, ssh-copy-id, sshfs, tar.

The real tools call a program `qsh` on their PATH, which is the client under test with its test
configuration; nothing else is different from `ssh`.
"""

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.harness import make_key, missing_programs, public

DATA = os.urandom(1 << 20)


@pytest.fixture
def tool(qsh, tmp_path):
    """Run a tool: tool("scp", "-S", "qsh", …) → CompletedProcess, in an empty folder `tool.here`;
    `tool.there` is the folder it should talk to."""
    return make_tool(qsh, tmp_path)


@pytest.fixture
def internal(own_daemon, new_client, tmp_path):
    """The same against a qshd whose sftp is its own."""
    return make_tool(new_client(own_daemon("Subsystem sftp internal-sftp")), tmp_path)


def make_tool(client, tmp_path):
    programs, here, there = tmp_path / "bin", tmp_path / "here", tmp_path / "there"
    for folder in (programs, here, there):
        folder.mkdir()
    for name in ("qsh", "ssh"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(client.command())} "$@"\n')
        program.chmod(0o755)
    environment = client.environment | {
        "PATH": f"{programs}:{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip

    def run(*words, stdin="", check=True, **env):
        if not shutil.which(words[0], path=environment["PATH"]):
            pytest.skip(f"not installed here: {words[0]}")
        done = subprocess.run(
            [*map(str, words)], cwd=here, env=environment | env, input=stdin, text=True,
            capture_output=True, timeout=60, start_new_session=True,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    run.here, run.there, run.client = here, there, client
    return run


def check_sftp(tool):
    (tool.here / "a b").write_bytes(DATA)
    batch = [f"cd {tool.there}", 'put "a b" x', "ls -l x", "rename x y", "get y back", "df",
             "chmod 640 y", "ln -s y link", "mkdir d", "put -r . d/copy", "rm link"]  # fmt: skip
    done = tool("sftp", "-S", "qsh", "-b", "-", "host", stdin="\n".join(batch))
    assert str(len(DATA)) in done.stdout
    assert (tool.here / "back").read_bytes() == (tool.there / "y").read_bytes() == DATA
    assert (tool.there / "d/copy/a b").read_bytes() == DATA
    assert (tool.there / "y").stat().st_mode & 0o777 == 0o640


def check_scp(tool, *options):
    (tool.here / "a").write_bytes(DATA)
    (tool.here / "tree/sub").mkdir(parents=True)
    (tool.here / "tree/sub/file").write_text("deep")
    scp = ("scp", "-q", *options, "-S", "qsh")
    tool(*scp, "-p", "a", f"host:{tool.there}/b")
    tool(*scp, f"host:{tool.there}/b", "c")
    tool(*scp, "-r", "tree", f"host:{tool.there}")
    assert (tool.here / "c").read_bytes() == DATA
    assert (tool.there / "tree/sub/file").read_text() == "deep"
    assert tool(*scp, f"host:{tool.there}/missing", ".", check=False).returncode == 1


def test_sftp(tool):
    check_sftp(tool)


@pytest.mark.one_pair
def test_sftp_with_the_servers_own_server(internal):
    check_sftp(internal)


def test_scp_over_sftp(tool):
    check_scp(tool, "-s")


@pytest.mark.one_pair
def test_scp_with_the_servers_own_server(internal):
    check_scp(internal, "-s")
    name = f".qsh-test-{os.getpid()}"
    home = Path("~").expanduser()
    try:  # `~` is the server's to expand
        internal("scp", "-qs", "-S", "qsh", "a", f"host:~/{name}")
        assert (home / name).read_bytes() == DATA
    finally:
        (home / name).unlink(missing_ok=True)


def test_scp_in_its_old_protocol(tool):
    check_scp(tool, "-O")


@pytest.mark.one_pair
def test_scp_from_host_to_host_through_here(tool):
    (tool.there / "a").write_bytes(DATA)
    tool("scp", "-q3", "-S", "qsh", f"host:{tool.there}/a", f"host:{tool.there}/b")
    assert (tool.there / "b").read_bytes() == DATA


@pytest.mark.one_pair
def test_a_user_of_sftp_alone_gets_nothing_else(own_daemon, new_client, tmp_path):
    tool = make_tool(new_client(own_daemon("ForceCommand internal-sftp -R -u 077")), tmp_path)
    (tool.there / "a").write_bytes(DATA)
    (tool.here / "new").touch()
    tool("sftp", "-q", "-S", "qsh", f"host:{tool.there}/a", "b")
    assert (tool.here / "b").read_bytes() == DATA
    batch = f"put new {tool.there}/new"
    done = tool("sftp", "-b", "-", "-S", "qsh", "host", stdin=batch, check=False)
    assert "ermission denied" in done.stderr
    for words in (["id"], ["-tt"]):
        refused = tool.client(*words[:-1], "host", *words)
        assert refused.status == 1
        assert b"uid=" not in refused.stdout


@pytest.mark.parametrize("options", [["-a"], ["-az", "--delete", "--checksum"]])
def test_rsync(tool, options):
    source = tool.here / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/data").write_bytes(DATA)
    (source / "link").symlink_to("sub/data")
    (tool.there / "old").touch()
    rsync = ("rsync", *options, "-e", "qsh")
    tool(*rsync, f"{source}/", f"host:{tool.there}/")
    assert (tool.there / "sub/data").read_bytes() == DATA
    assert (tool.there / "old").exists() is ("--delete" not in options)
    tool(*rsync, f"host:{tool.there}/", "back/")
    assert str((tool.here / "back/link").readlink()) == "sub/data"
    assert tool(*rsync, "--stats", f"host:{tool.there}/", "back/").stdout.count("files transferred")


@pytest.mark.parametrize("way", ["GIT_SSH_COMMAND", "GIT_SSH", "core.sshCommand"])
def test_git(tool, way):
    """git does not know the name qsh: it asks by -G whether this is OpenSSH's kind of ssh."""
    env = {way: "qsh"} if way.startswith("GIT") else {}
    git = ("git", *([] if env else ["-c", "core.sshCommand=qsh"]))
    tool("git", "init", "-q", "--bare", "-b", "main", tool.there / "repo")
    url = f"host:{tool.there}/repo"
    tool(*git, "clone", "-q", url, "work", **env)
    (tool.here / "work/file").write_bytes(DATA)
    tool("git", "-C", "work", "add", "file")
    tool("git", "-C", "work", "commit", "-qm", "one")
    tool(*git, "-C", "work", "push", "-q", "origin", "HEAD:main", **env)
    trace = tool(*git, "clone", "-q", f"ssh://host{tool.there}/repo", "again",
                 GIT_TRACE="1", **env).stderr
    assert (tool.here / "again/file").read_bytes() == DATA
    assert "-o SendEnv=GIT_PROTOCOL" in trace


@pytest.mark.one_pair
def test_ssh_copy_id(own_daemon, new_client, tmp_path):
    home = tmp_path / "home of the other side"  # this account's own must not change
    home.mkdir()
    keys = tmp_path / "qshd0/authorized_keys"
    daemon = own_daemon(f'SetEnv "HOME={home}"',
                        f'AuthorizedKeysFile {keys} "{home}/.ssh/authorized_keys"')  # fmt: skip
    tool = make_tool(new_client(daemon), tmp_path)
    key = make_key(tool.here / "new_key")
    (tool.client.folder / ".ssh").mkdir()
    done = tool("ssh-copy-id", "-f", "-i", f"{key}.pub", "host")
    assert "Number of key(s) added: 1" in done.stdout
    assert (home / ".ssh/authorized_keys").read_text().splitlines() == [public(key)]
    daemon.authorize()
    assert tool("qsh", "host", "true", check=False).returncode == 255
    assert tool("qsh", "-i", key, "host", "echo in").stdout == "in\n"


def test_tar_both_ways(tool):
    (tool.here / "d").mkdir()
    (tool.here / "d/a").write_bytes(DATA)
    there = shlex.quote(str(tool.there))
    tool("sh", "-c", f"tar cf - d | qsh host 'tar xf - -C {there}'")
    assert (tool.there / "d/a").read_bytes() == DATA
    tool("sh", "-c", f"mkdir back && qsh host 'tar czf - -C {there} d' | tar xzf - -C back")
    assert (tool.here / "back/d/a").read_bytes() == DATA


@pytest.mark.one_pair
def test_a_script_on_standard_input(tool):
    script = 'echo "$1 $0"\nread line <<< here\necho $line\nexit 5\n'
    done = tool("qsh", "-T", "host", "bash", "-s", "one", stdin=script, check=False)
    assert (done.returncode, done.stdout) == (5, "one bash\nhere\n")


@pytest.mark.one_pair
def test_a_login_shell_that_reads_a_script(tool):
    done = tool("qsh", "-T", "host", stdin="echo in $0\nexit 3\n", check=False)
    assert done.returncode == 3
    assert "in " in done.stdout


@pytest.mark.one_pair
def test_a_subsystem_that_is_not_there(tool):
    done = tool("qsh", "-s", "host", "nonsense", check=False)
    assert done.returncode == 255
    assert "refuses to run the subsystem nonsense" in done.stderr


@pytest.mark.one_pair
def test_in_the_background(tool):
    before = time.monotonic()
    done = tool("sh", "-c", f"qsh -f host 'sleep 1; echo done > {tool.there}/a' >&- 2>&-")
    assert (done.stdout, done.stderr) == ("", "")
    assert time.monotonic() - before < 20
    end = time.monotonic() + 20
    while not (tool.there / "a").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert (tool.there / "a").read_text() == "done\n"
    assert tool("qsh", "-f", "host", "echo shown").stdout == "shown\n"
    assert tool("qsh", "-f", "nosuchhost.invalid", "true", check=False).returncode == 255


@pytest.mark.one_pair
def test_sshfs(tool):
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not shutil.which("fusermount3"):
        pytest.skip("needs /dev/fuse and fusermount3")
    mount = tool.here / "mount"
    mount.mkdir()
    (tool.there / "a").write_bytes(DATA)
    done = tool("sshfs", "-o", "ssh_command=qsh", f"host:{tool.there}", mount, check=False)
    if done.returncode and "mount failed" in done.stderr.lower():
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    try:
        assert (mount / "a").read_bytes() == DATA
        (mount / "b").write_bytes(DATA)
        (mount / "b").rename(mount / "c")
    finally:
        tool("fusermount3", "-u", mount)
    assert (tool.there / "c").read_bytes() == DATA


@pytest.mark.one_pair
@pytest.mark.parametrize(
    "words",
    [("pdsh", "-N", "-R", "ssh", "-w", "host", "echo in"),
     ("parallel-ssh", "-P", "-H", "host", "echo in"),
     ("clush", "-N", "-w", "host", "echo in")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_command_on_many_hosts(tool, words):
    assert "in" in tool(*words, XDG_CONFIG_HOME=tool.here).stdout.splitlines()[0]


@pytest.mark.one_pair
def test_borg(tool):
    (tool.here / "source").mkdir()
    (tool.here / "source/data").write_bytes(DATA)
    env = {"BORG_RSH": "qsh", "BORG_BASE_DIR": str(tool.here), "BORG_REMOTE_PATH": "borg",
           "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}  # fmt: skip
    repository = f"ssh://host{tool.there}/repository"
    tool("borg", "init", "-e", "none", repository, **env)
    tool("borg", "create", f"{repository}::one", "source", **env)
    (tool.here / "source/data").unlink()
    tool("borg", "extract", f"{repository}::one", **env)
    assert (tool.here / "source/data").read_bytes() == DATA


@pytest.mark.slow
@pytest.mark.one_pair
def test_restic(tool):
    (tool.here / "data").write_bytes(DATA)
    env = {"RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": str(tool.here / "cache")}
    restic = ("restic", "-q", "-o", "sftp.command=qsh host -s sftp",
              "-r", f"sftp:host:{tool.there}/repository")  # fmt: skip
    tool(*restic, "init", **env)
    tool(*restic, "backup", "data", **env)
    tool(*restic, "restore", "latest", "--target", tool.here / "back", **env)
    [found] = (tool.here / "back").rglob("data")
    assert found.read_bytes() == DATA


@pytest.mark.one_pair
def test_lftp(tool):
    (tool.there / "a").write_bytes(DATA)
    connect = 'set sftp:connect-program "qsh -a -x"; set net:max-retries 1'
    tool("lftp", "-c", f"{connect}; open sftp://host; get {tool.there}/a -o b")
    assert (tool.here / "b").read_bytes() == DATA


@pytest.mark.one_pair
@pytest.mark.parametrize("way", ["proxy", "remote"])
def test_mosh(tool, way):
    """Also in its default way, where it looks for the server's address in a ProxyCommand."""
    if missing := missing_programs("mosh", "mosh-server", "script"):
        pytest.skip(f"not installed here: {', '.join(missing)}")
    words = ["mosh", "--ssh=qsh", f"--experimental-remote-ip={way}", "host", "--",
             "sh", "-c", "echo by mosh; sleep 1"]  # fmt: skip
    line = f"stty rows 24 cols 80; {shlex.join(words)}"
    done = tool("script", "-qec", line, "/dev/null", TERM="xterm", LC_ALL="C.UTF-8")
    assert "by mosh" in done.stdout
