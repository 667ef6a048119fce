"""Where and with what the figures were made: one line, without which they mean nothing."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from qsh import __version__
from qsh.quic.engine import available
from tests.integration.harness import QSH, QSHD


def programs() -> tuple[list[str], list[str]]:
    """How qsh and qshd are started: the scripts installed beside this Python, else the modules."""
    scripts = [Path(sys.executable).with_name(name) for name in ("qsh", "qshd")]
    if all(script.exists() for script in scripts):
        return [str(scripts[0])], [str(scripts[1])]
    return list(QSH), list(QSHD)


def machine_line() -> str:
    """Processor, system, versions and load, in a line."""
    cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.split(",")[0]
    installed = "installed" if programs()[0] != list(QSH) else "run from the source tree"
    return (
        f"{os.cpu_count()} x {model[1] if model else platform.machine()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, {ssh}, "
        f"qsh {__version__} ({installed}; engines: {', '.join(available())}), "
        f"load {os.getloadavg()[0]:.1f}"
    )
