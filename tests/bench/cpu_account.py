"""What the processes of a server cost, those that have ended included.

They have different parents and come and go with connections, so that no wait(2) sees them all: a
control group counts them (cgroups(7), cpuacct). Where none can be made, the whole machine is
counted, which tells something only where nothing else runs.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

ACCOUNTS = Path("/sys/fs/cgroup/cpuacct")
UNIFIED = Path("/sys/fs/cgroup")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class CpuAccount:
    """`prefix` is put before the command line of what is to be counted; `counts_all`: there is no
    group, and everything on the machine counts."""

    def __init__(self) -> None:
        self.prefix: Sequence[str] = ()
        self.counts_all = True
        self._group: Path | None = None

    def __enter__(self) -> Self:
        for place, usage in ((ACCOUNTS, "cpuacct.usage"), (UNIFIED, "cpu.stat")):
            group = place / f"qsh-bench-{os.getpid()}"
            with suppress(OSError):
                group.mkdir()
                if (group / usage).exists():
                    self._group, self.counts_all = group, False
                    enter = f'echo $$ >{group}/cgroup.procs && exec "$@"'
                    self.prefix = ("sh", "-c", enter, "sh")
                    break
                group.rmdir()
        return self

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            with suppress(OSError):  # a process of it may still be about to end
                self._group.rmdir()

    def seconds(self) -> float:
        """CPU time so far."""
        if self._group is None:
            return machine_cpu_seconds()
        with suppress(FileNotFoundError):
            return int((self._group / "cpuacct.usage").read_text()) / 1e9
        stat = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6


def machine_cpu_seconds() -> float:
    """CPU time of everything on this machine, interrupts included (proc(5), /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, Path("/proc/stat").read_text().split()[1:8])  # fmt: skip
    return (user + nice + system + irq + softirq) / CLOCK_TICKS
