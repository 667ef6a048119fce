"""Files of at most 400 lines, functions of at most 40; exceptions are named and only shrink."""

import ast

import pytest

from tests.sources import line_count, python_files, tree

FILE_LINES = 400
FUNCTION_LINES = 40
VAGUE_NAMES = {"utils", "util", "misc", "helpers", "helper", "common", "manager"}

LONG_FILES: dict[str, int] = {}
"""Path → lines it has now. A row needs a reason beside it."""
LONG_FUNCTIONS: dict[str, int] = {}
"""path:qualified.name → lines it has now. A row needs a reason beside it."""

FILES = python_files("qsh", "tests")


def functions(path):
    """(qualified name, lines without decorators) of every function, nested ones too."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            name = f"{prefix}.{child.name}" if hasattr(child, "name") else prefix
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name.lstrip("."), child.end_lineno - child.lineno + 1
            yield from walk(child, name)

    return walk(tree(path), "")


@pytest.mark.parametrize("path", FILES)
def test_file_is_short(path):
    assert line_count(path) <= LONG_FILES.get(path, FILE_LINES), "split it by noun"


@pytest.mark.parametrize("path", FILES)
def test_functions_are_short(path):
    long = {
        name: lines
        for name, lines in functions(path)
        if lines > LONG_FUNCTIONS.get(f"{path}:{name}", FUNCTION_LINES)
    }
    assert not long


@pytest.mark.parametrize("path", FILES)
def test_file_has_a_telling_name(path):
    stem = path.rsplit("/", 1)[-1].removesuffix(".py")
    assert stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", python_files("qsh"))
def test_file_says_what_it_is(path):
    assert ast.get_docstring(tree(path))


def test_exceptions_are_still_needed():
    """A row for what has become short, or is gone, must go too."""
    lengths = {path: line_count(path) for path in FILES}
    paths = {name.partition(":")[0] for name in LONG_FUNCTIONS} & set(FILES)
    names = {f"{path}:{name}": lines for path in paths for name, lines in functions(path)}
    assert all(lengths.get(path, 0) > FILE_LINES for path in LONG_FILES)
    assert all(names.get(name, 0) > FUNCTION_LINES for name in LONG_FUNCTIONS)
