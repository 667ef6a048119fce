"""Real accounts and real PAM services for tests, taken away again. For root only."""

import itertools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

PAM_D = Path("/etc/pam.d")
MODULE_SOURCE = Path(__file__).with_name("pam_module.c")
PASSWORD = "right horse, battery"
_numbers = itertools.count()


class TestAccount:
    """A user with a home, made by useradd(8) and removed by `remove`."""

    __test__ = False

    def __init__(self, password=PASSWORD):
        self.name = f"qsht{os.getpid()}x{next(_numbers)}"
        run("useradd", "--create-home", "--shell", "/bin/bash", self.name)
        self.set_password(password)
        self.entry = pwd.getpwnam(self.name)

    def set_password(self, password, method="YESCRYPT"):
        run("chpasswd", "--crypt-method", method, stdin=f"{self.name}:{password}\n")

    def change(self, *options, program="usermod"):
        """usermod(8), or chage(1) and others."""
        run(program, *options, self.name)

    @property
    def hash(self):
        for line in Path("/etc/shadow").read_text().splitlines():
            if line.startswith(f"{self.name}:"):
                return line.split(":")[1]
        return None

    def remove(self):
        subprocess.run(["userdel", "--force", "--remove", self.name], stderr=subprocess.DEVNULL)


class Service:
    """A file of pam.d(5) with a throw-away name."""

    def __init__(self, *lines):
        self.name = f"qsh-test-{os.getpid()}-{next(_numbers)}"
        self.path = PAM_D / self.name
        self.path.write_text("".join(f"{line}\n" for line in lines))

    def remove(self):
        self.path.unlink(missing_ok=True)


def run(*command, stdin=""):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)


@pytest.fixture
def account():
    """A user with PASSWORD, by yescrypt."""
    one = TestAccount()
    yield one
    one.remove()


@pytest.fixture
def service():
    """Make a PAM service: service("auth required pam_unix.so", …).name."""
    made = []

    def make(*lines):
        made.append(Service(*lines))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture(scope="session")
def module(tmp_path_factory):
    """The path of the compiled tests/pam_module.c."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/security/pam_modules.h").exists():
        pytest.skip("needs a C compiler and libpam0g-dev")
    path = tmp_path_factory.mktemp("pam") / "pam_qsh_test.so"
    run(compiler, "-shared", "-fPIC", "-o", str(path), str(MODULE_SOURCE), "-lpam")
    return path


STACK = ("auth required pam_unix.so nullok", "account required pam_unix.so",
         "password required pam_unix.so yescrypt minlen=4",
         "session required pam_env.so")  # fmt: skip
"""A whole service by the system's own passwords."""
