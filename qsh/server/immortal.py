"""Objects whose references nobody counts, so that using them writes to no page.

CPython counts references in the objects themselves: a process forked from one that has loaded much
copies, page by page, whatever it merely looks at. From 3.12 on there are objects whose count
stands still (PEP 683), None for one; what is loaded before the forks can be made so. Imports
nothing of qsh.
"""

import ctypes
import gc
import struct
import sys
import sysconfig
from types import CodeType

LEAST = 1 << 30
"""No object has so many references otherwise."""
_count_at = ctypes.c_uint32.from_address
"""The part of the count that says so: the first 32 bits of an object on little-endian machines."""


def can_be_immortal() -> bool:
    """Whether this is a CPython whose objects begin with a count that may stand still."""
    return (
        sys.implementation.name == "cpython"
        and sys.byteorder == "little"
        and struct.calcsize("P") == 8
        and sys.getrefcount(None) >= LEAST
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and not hasattr(sys, "gettotalrefcount")  # a debug build
    )


def make_immortal() -> None:
    """Let all objects that there are live as long as the process; before gc.freeze(), which
    hides them. Nothing happens where Python cannot."""
    if not can_be_immortal():
        return
    still = _count_at(id(None)).value
    layer = gc.get_objects()
    while layer:
        mortal = []
        for found in layer:
            count = _count_at(id(found))
            if count.value < LEAST:
                count.value = still
                mortal.append(found)
        layer = gc.get_referents(*mortal)
        for code in mortal:
            if isinstance(code, CodeType):  # the collector does not look into it
                layer += _parts(code)


def _parts(code: CodeType) -> tuple[object, ...]:
    return (code.co_consts, code.co_names, code.co_name, code.co_qualname, code.co_filename,
            code.co_linetable, code.co_exceptiontable)  # fmt: skip
