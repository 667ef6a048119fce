"""The project's Python files, parsed, for the tests that hold its architecture and shape."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_files(*folders: str) -> list[str]:
    """Paths from the project's root, sorted."""
    return sorted(
        str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")
    )


@cache
def tree(path: str) -> ast.Module:
    """The syntax tree of a file, named from the project's root."""
    return ast.parse((ROOT / path).read_text("utf-8"), path)


def line_count(path: str) -> int:
    return len((ROOT / path).read_text("utf-8").splitlines())
