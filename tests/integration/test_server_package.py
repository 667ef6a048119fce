"""The Debian packages, built, installed into a clean root, and used there (installed.sh): by key,
certificate, password and second factor, refused where it must be, restarted under load."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import missing_programs
from tests.sources import ROOT

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(missing_programs("debootstrap", "dpkg-deb", "unshare")), reason="no Debian tools here"
    ),
]

PACKAGES = "python3,libpam-modules,passwd,openssh-client,procps"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def given_root():
    """A root that was made before: QSH_TEST_ROOT, so that the test can be repeated quickly."""
    return os.environ.get("QSH_TEST_ROOT")


@pytest.fixture
def clean_root(tmp_path):
    path = tmp_path / "root"
    if given_root():
        run("cp", "-a", given_root(), path)
    else:
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]  # they are built for it
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, path)
    yield path
    run("rm", "-rf", "--one-file-system", path)


def install(root, packages):
    """With dpkg, in that root."""
    for path in packages:
        run("cp", path, root / "root")
    names = [f"/root/{Path(path).name}" for path in sorted(packages)]
    run("chroot", root, "dpkg", "-i", *names)
    assert "qshd:" in (root / "etc/passwd").read_text()


def use(root):
    """What installed.sh finds, in namespaces of its own; the table of processes."""
    run("cp", ROOT / "tests/integration/installed.sh", root / "root")
    told = run("unshare", "--mount", "--net", "--pid", "--fork", "--ipc", "chroot", root,
               "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
               "sh", "/root/installed.sh")  # fmt: skip
    print(told)
    found, _, table = told.partition("processes:\n")
    assert found.splitlines() == [f"ok {name}" for name in EXPECTED]
    rows = {row.split()[1]: row.split() for row in table.splitlines()}
    assert {name: (words[0], words[-1]) for name, words in rows.items()} == {
        "qshd": ("root", "0"), "qshd-keys": ("root", "0"), "qshd-launcher": ("root", "0"),
        "qshd-monitor": ("root", "0"), "qshd-zygote": ("qshd", "0"), "qshd-worker": ("qshd", "2"),
        "qsh-holder": ("alice", "0"),
    }  # fmt: skip


EXPECTED = [
    "the configuration", "a key", "a certificate", "a password over PAM", "a key and a password",
    "the doctor", "refused: a wrong password",
    "refused: a key alone where two factors are asked for", "refused: a certificate for another",
    "refused: a locked account's password", "refused: an account that is denied",
    "refused: nobody's account", "three restarts under load",
]  # fmt: skip


@pytest.fixture
def packages(tmp_path):
    """The .debs."""
    built = run(ROOT / "packaging" / "debian" / "build", tmp_path / "debs").split()
    assert [Path(path).name.split("_")[0] for path in built] == ["qsh-server", "qsh"]
    return built


@pytest.fixture
def overlay(tmp_path):
    """This machine's root with a layer of its own above it, which vanishes with the test."""
    layer, merged = tmp_path / "layer", tmp_path / "merged"
    for folder in (layer, merged):
        folder.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", layer)  # an overlay cannot lie on an overlay
    try:
        for name in ("upper", "work"):
            (layer / name).mkdir()
        made = f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work"
        if subprocess.run(["mount", "-t", "overlay", "overlay", "-o", made, merged]).returncode:
            pytest.skip("no overlay file system here")
        try:
            run("mount", "--bind", "/dev", merged / "dev")
            yield merged
        finally:
            run("umount", "-R", merged)
    finally:
        run("umount", layer)


def test_on_this_machine(overlay, packages):
    """Beside everything that is installed here, which stays as it is."""
    install(overlay, packages)
    use(overlay)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_programs("lintian")), reason="no lintian here")
def test_debians_checks_find_nothing(packages):
    """Neither errors nor warnings."""
    done = subprocess.run(["lintian", *packages], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:")] == []
    assert done.returncode == 0


@pytest.mark.slow
def test_a_clean_system(clean_root, packages):
    """As Debian is after its installer: port 22, and nothing else there."""
    install(clean_root, packages)
    for path in ("usr/share/man/man1/qsh.1.gz", "usr/share/man/man8/qshd.8.gz",
                 "usr/sbin/qshctl", "usr/share/man/man8/qshctl.8.gz",
                 "usr/share/bash-completion/completions/qsh", "etc/pam.d/qshd",
                 "lib/systemd/system/qshd.service"):  # fmt: skip
        assert (clean_root / path).exists(), path
    use(clean_root)
    run("chroot", clean_root, "dpkg", "--purge", "qsh-server", "qsh")
    assert not (clean_root / "usr/sbin/qshd").exists()
