"""The floors of the house: imports go down only, and each third party has its own doors.

Read off the syntax trees, so that an import inside a function counts as well.
"""

import ast
import re
import sys

import pytest

from tests.sources import python_files, tree

FLOOR = {
    "__init__": 0,
    "errors": 1, "log": 1, "paths": 1, "lazy": 1, "metrics": 1, "process_tree": 1,
    "record": 1,
    "wire": 2, "terminal": 2,
    "quic": 3, "auth": 3, "config": 3,
    "net": 4,
    "forward": 5, "sftp": 5,
    "client": 6, "server": 6,
    "__main__": 7,
}  # fmt: skip

DOORS = {
    "aioquic": r"qsh/quic/engine_aioquic\w*\.py",
    "qsh_native": r"qsh/quic/engine_quinn\.py",
    "asyncssh": r"qsh/(auth|config|sftp)/.*",
    "cryptography": r"qsh/(auth/.*|quic/(identity|engine_aioquic\w*)\.py"
    r"|server/listener/(retry|connection_ids)\.py)",
    "prompt_toolkit": r"qsh/client/.*",
    "platformdirs": r"qsh/paths\.py",
    "asyncio": r"qsh/(net|forward|sftp|client|server)/.*",
    "ctypes": r"qsh/server/(immortal|sandbox|accounts/(netgroups|pam|shadow))\.py",
}
"""Module → the files that may import it. A third party without a row has no door at all."""

SANS_IO = re.compile(r"qsh/(wire|terminal)/")
OUTSIDE_WORLD = {"asyncio", "time", "os", "socket", "select", "selectors", "threading",
                 "subprocess", "random", "secrets", "ssl", "termios", "tty", "pty",
                 "signal"}  # fmt: skip
"""What a core without I/O never asks: time, chance, descriptors, processes."""

LOADERS = {"bare_package", "import_module"}
CALLS = {
    "create_task": r"qsh/net/tasks\.py",
    "ensure_future": r"qsh/net/tasks\.py",
    **dict.fromkeys(
        ("setuid", "seteuid", "setreuid", "setresuid", "setgid", "setegid", "setregid",
         "setresgid", "setgroups", "initgroups", "chroot"),
        r"qsh/server/sandbox\.py",
    ),
}  # fmt: skip
"""Function → the files that may name it."""

SOURCES = python_files("qsh")


def package(path_or_module):
    """The part of qsh that a file or module belongs to: a key of FLOOR."""
    parts = path_or_module.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported_modules(path):
    """Absolute names of all modules that a file imports, also those loaded by name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            if node.module == "qsh":
                yield from (f"qsh.{a.name}" if a.name in FLOOR else "qsh" for a in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Call) and called_name(node) in LOADERS:
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def called_name(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


@pytest.mark.parametrize("path", SOURCES)
def test_imports_only_go_down(path):
    here = package(path)
    targets = {package(name) for name in imported_modules(path) if name.split(".")[0] == "qsh"}
    wrong = {name for name in targets if name != here and FLOOR[name] >= FLOOR[here]}
    assert not wrong, f"floor {FLOOR[here]} ({here}) imports from {wrong}"


@pytest.mark.parametrize("path", SOURCES)
def test_third_parties_enter_by_their_doors(path):
    for name in imported_modules(path):
        top = name.split(".")[0]
        if top in DOORS:
            assert re.fullmatch(DOORS[top], path), f"{top} may be imported in {DOORS[top]}"
        else:
            assert top == "qsh" or top in sys.stdlib_module_names, f"no door for {top}"


@pytest.mark.parametrize("path", list(filter(SANS_IO.match, SOURCES)))
def test_cores_ask_nothing_of_the_world(path):
    assert not {name.split(".")[0] for name in imported_modules(path)} & OUTSIDE_WORLD


@pytest.mark.parametrize("path", SOURCES)
def test_tasks_and_privileges_have_one_place(path):
    for node in ast.walk(tree(path)):
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        if name in CALLS:
            assert re.fullmatch(CALLS[name], path), f"line {node.lineno}: {name}"


def test_every_part_has_a_floor():
    assert {package(path) for path in SOURCES} <= set(FLOOR)
