"""The kernel's small programs (linux/filter.h): how an instruction is written. Pure.

A program is an array of `struct sock_filter`, on system calls for seccomp(2), on datagrams for
SO_ATTACH_FILTER of socket(7).
"""

import struct

# From linux/bpf_common.h.
LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
LOAD_BYTE = 0x30  # BPF_LD | BPF_B | BPF_ABS
LOAD_BYTE_AT_X = 0x50  # BPF_LD | BPF_B | BPF_IND
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
ADD_X = 0x0C  # BPF_ALU | BPF_ADD | BPF_X
TO_X = 0x07  # BPF_MISC | BPF_TAX
RETURN = 0x06  # BPF_RET | BPF_K
INSTRUCTION_SIZE = 8
"""Bytes of a struct sock_filter."""


def statement(code: int, value: int = 0) -> bytes:
    """An instruction that is followed by the next one."""
    return jump(code, value, 0, 0)


def jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    """`if_true` and `if_false` count the instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
