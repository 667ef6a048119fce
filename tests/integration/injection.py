"""Arbitrary Python in a living process, as whoever has taken it over would run it.

ptrace(2), as root, stops the process where it waits and has its interpreter run the code: nothing
in the product helps, and the code has exactly that process's rights, memory and descriptors. Not by
gdb, which cannot call functions on processors whose registers it does not know all.
"""

import ast
import ctypes
import os
import platform
import signal
import struct
import time

PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS = 7, 12, 13
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000
REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
    "gs",
)  # fmt: skip
"""struct user_regs_struct of sys/user.h, on x86_64."""
LAYOUT = struct.Struct(f"={len(REGISTERS)}Q")
RED_ZONE = 128
NO_CALL = (1 << 64) - 1
"""In orig_rax: it is in no system call, so none is to be started anew."""
PATIENCE = 60.0
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
builtins.told = repr(told).encode().hex().encode()
"""
is_possible = platform.machine() == "x86_64"
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def run_inside(pid, code):
    """{name: what came of it} of the code's calls `attempt(name, action)`."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    text = RUN.replace("    CODE", body)
    ast.parse(text)
    with Stopped(pid) as process:
        python = ctypes.pythonapi
        state = process.call(python.PyGILState_Ensure)
        assert process.call(python.PyRun_SimpleString, text) == 0
        module = process.call(python.PyImport_AddModule, "builtins")
        told = process.call(python.PyObject_GetAttrString, module, "told")
        found = process.read_string(process.call(python.PyBytes_AsString, told))
        process.call(python.PyGILState_Release, state & 0xFFFFFFFF)
    return dict(ast.literal_eval(bytes.fromhex(found.decode()).decode()))


class Stopped:
    """A process that stands still meanwhile, and goes on as if nothing had been."""

    def __init__(self, pid):
        self._pid = pid

    def __enter__(self):
        ptrace(PTRACE_SEIZE, self._pid)
        ptrace(PTRACE_INTERRUPT, self._pid)
        self._wait()
        self._memory = os.open(f"/proc/{self._pid}/mem", os.O_RDWR)
        self._before = self._registers()
        return self

    def __exit__(self, *_):
        os.close(self._memory)
        self._set(self._before)
        ptrace(PTRACE_DETACH, self._pid)

    def call(self, function, *arguments):
        """What it returns there. Texts are copied into the process's memory."""
        numbers = [self._copy(one) if isinstance(one, str) else one for one in arguments]
        now = dict(self._before)
        now |= zip(("rdi", "rsi", "rdx"), numbers, strict=False)
        now["rip"] = address_in(self._pid, function)
        # As if it had been called, from nowhere: its return is a fault at 0.
        now["rsp"] = (now["rsp"] - RED_ZONE & ~15) - 8
        os.pwrite(self._memory, bytes(8), now["rsp"])
        now |= {"rax": 0, "orig_rax": NO_CALL}
        self._set(now)
        signum = 0
        while signum != signal.SIGSEGV:
            ptrace(PTRACE_CONT, self._pid, signum)
            signum = self._wait()
        after = self._registers()
        assert after["rip"] == 0, f"the call went wrong at {after['rip']:#x}"
        return after["rax"]

    def read_string(self, address):
        found = b""
        while b"\0" not in found:
            found += os.pread(self._memory, 4096 - (address + len(found)) % 4096,
                              address + len(found))  # fmt: skip
        return found.partition(b"\0")[0]

    def _copy(self, text):
        raw = text.encode() + b"\0"
        address = self.call(_libc.malloc, len(raw))
        os.pwrite(self._memory, raw, address)
        return address

    def _wait(self):
        """The signal with which it has stopped."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found, status = os.waitpid(self._pid, os.WNOHANG | WALL)
            if found:
                assert os.WIFSTOPPED(status), f"it has died, status {status}"
                return os.WSTOPSIG(status)
            time.sleep(0.001)
        raise AssertionError("it does not stop")

    def _registers(self):
        raw = ctypes.create_string_buffer(LAYOUT.size)
        ptrace(PTRACE_GETREGS, self._pid, ctypes.addressof(raw))
        return dict(zip(REGISTERS, LAYOUT.unpack(raw.raw), strict=True))

    def _set(self, registers):
        raw = ctypes.create_string_buffer(LAYOUT.pack(*registers.values()), LAYOUT.size)
        ptrace(PTRACE_SETREGS, self._pid, ctypes.addressof(raw))


def ptrace(request, pid, data=0):
    if _libc.ptrace(request, pid, 0, data) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace: {os.strerror(error)}")


def address_in(pid, function):
    """Where a function of one of our libraries is in another process that has the same one."""
    ours = ctypes.cast(function, ctypes.c_void_p).value
    library, base = next(
        (library, at) for library, (at, end) in libraries("self").items() if at <= ours < end
    )
    return libraries(pid)[library][0] + ours - base


def libraries(pid):
    """{device and inode: first and last address} of the files in a process's memory."""
    found = {}
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            addresses, _, _, device, inode, *_ = line.split()
            at, end = (int(part, 16) for part in addresses.split("-"))
            if inode != "0":
                first, _ = found.get((device, inode), (at, end))
                found[device, inode] = first, end
    return found
