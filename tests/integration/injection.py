"""Arbitrary Python in a living process, as whoever has taken it over would run it.

ptrace(2), as root, stops the process and has its interpreter run the code: nothing in the product
helps, and the code has exactly that process's rights, memory and descriptors. Only general
registers are touched, so that it works on every x86-64; gdb's calls fail on some.
"""

import ast
import ctypes
import os
import platform
import signal
from pathlib import Path

IS_POSSIBLE = platform.machine() == "x86_64"

# <sys/ptrace.h>
PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 7, 12, 13, 16, 17
WALL = 0x40000000
RED_ZONE = 128
NOWHERE = 0
"""Where a called function returns to: it stops there, by SIGSEGV, which it never sees."""
NO_SYSCALL = (1 << 64) - 1
"""As orig_rax: the kernel shall not begin again the call that was interrupted."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


NAMES = """r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
fs_base gs_base ds es fs gs"""


class Registers(ctypes.Structure):
    """struct user_regs_struct of <sys/user.h>."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES.split()]


class Captive:
    """A stopped process, which has the same Python program as we."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._trace(PTRACE_ATTACH)
        self._wait()
        self._kept = Registers()
        self._trace(PTRACE_GETREGS, data=ctypes.addressof(self._kept))

    def release(self) -> None:
        """Let it go on where it was."""
        self._trace(PTRACE_SETREGS, data=ctypes.addressof(self._kept))
        self._trace(PTRACE_DETACH)

    def call(self, name: str, *arguments: int) -> int:
        """What a function of Python's C API gives (as an unsigned number)."""
        registers = Registers.from_buffer_copy(self._kept)
        stack = (registers.rsp - RED_ZONE) // 16 * 16 - 8
        self.write(stack, NOWHERE.to_bytes(8, "little"))
        registers.rsp, registers.rip = stack, self._address(name)
        registers.rax, registers.orig_rax = 0, NO_SYSCALL
        for register, argument in zip(("rdi", "rsi", "rdx"), arguments, strict=False):
            setattr(registers, register, argument)
        self._trace(PTRACE_SETREGS, data=ctypes.addressof(registers))
        number = 0
        while True:
            self._trace(PTRACE_CONT, data=number)
            number = self._wait()
            self._trace(PTRACE_GETREGS, data=ctypes.addressof(registers))
            if number == signal.SIGSEGV:
                assert registers.rip == NOWHERE, f"{name} fails at {registers.rip:#x}"
                return registers.rax

    def put(self, text: bytes) -> int:
        """The address of a copy of the text, with a zero byte after it."""
        address = self.call("PyMem_RawMalloc", len(text) + 1)
        self.write(address, text + b"\0")
        return address

    def write(self, address: int, data: bytes) -> None:
        with open(f"/proc/{self._pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            assert memory.write(data) == len(data)

    def read(self, address: int, size: int) -> bytes:
        with open(f"/proc/{self._pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def _trace(self, request: int, address: int = 0, data: int = 0) -> None:
        if libc.ptrace(request, self._pid, address, data) == -1:
            raise OSError(ctypes.get_errno(), f"ptrace({request}, {self._pid})")

    def _wait(self) -> int:
        """The signal with which it stops."""
        _, status = os.waitpid(self._pid, WALL)
        assert os.WIFSTOPPED(status), f"process {self._pid} ends: {status:#x}"
        return os.WSTOPSIG(status)

    def _address(self, name: str) -> int:
        """Where it has a function that we have at some place of the same file."""
        ours = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        start, offset, file = next(
            (low, offset, file) for low, high, offset, file in mappings(os.getpid())
            if low <= ours < high
        )  # fmt: skip
        there = (low for low, _, *place in mappings(self._pid) if place == [offset, file])
        return next(there) + ours - start


def mappings(pid: int) -> list[tuple[int, int, int, str]]:
    """Start, end, offset in the file, and file, of what has a name in the process's memory."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, _, offset, _, _, *path = line.split(maxsplit=5)
        if path:
            low, high = (int(number, 16) for number in place.split("-"))
            found.append((low, high, int(offset, 16), path[0]))
    return found


RUN = """\
import builtins
def attempt(name, action):
    try:
        told[name] = "did it: %r" % (action(),)
    except BaseException as error:
        told[name] = "%s: %s" % (type(error).__name__, error)
told = {}
try:
    CODE
except BaseException as error:
    told["the code itself"] = "%s: %s" % (type(error).__name__, error)
builtins.told = repr(told).encode()
"""


def run_inside(pid, code):
    """{name: what came of it} of the code's calls `attempt(name, action)`."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    text = RUN.replace("    CODE", body)
    ast.parse(text)
    captive = Captive(pid)
    try:
        state = captive.call("PyGILState_Ensure")
        assert captive.call("PyRun_SimpleString", captive.put(text.encode())) == 0
        module = captive.call("PyImport_AddModule", captive.put(b"builtins"))
        told = captive.call("PyObject_GetAttrString", module, captive.put(b"told"))
        size, start = captive.call("PyBytes_Size", told), captive.call("PyBytes_AsString", told)
        answer = captive.read(start, size)
        captive.call("PyGILState_Release", state)
    finally:
        captive.release()
    return dict(ast.literal_eval(answer.decode()))
