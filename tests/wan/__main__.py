"""wan - a small wide-area-network emulator for one Linux machine, without netem.

    python -m tests.wan run [options] -- COMMAND...   run COMMAND beside an emulated WAN
    python -m tests.wan ctl REQUEST...                change a running WAN (uses $WAN_CTL)
    python -m tests.wan clean                         remove what a killed instance left

`run` makes two network namespaces, client and server, each with one TUN device (`wan0`), and
forwards IP packets between the two in user space; tests/wan/link.py says what they meet on
the way. COMMAND runs in the ordinary namespace. When it ends, so does everything still running
in the two namespaces. Its environment has

    WAN_CLIENT, WAN_SERVER      prefixes, e.g. `ip netns exec wanc-1234`
    WAN_CLIENT_ADDRESS, WAN_SERVER_ADDRESS
    WAN_CTL                     path of the control socket, used by `ctl`

Options apply to both directions; --up and --down override them for one:

    run --rtt 80ms --rate 50mbit --up rate=5mbit,loss=0.5% -- COMMAND

--direct joins the namespaces by a plain veth pair instead: no emulation, no user-space
forwarder, for baselines at the machine's own speed.
"""

import argparse
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.wan.emulator import (
    CLIENT_ADDRESS,
    SERVER_ADDRESS,
    SERVER_IPV6,
    SERVER_NAME,
    ControlServer,
    Emulator,
    ask,
)
from tests.wan.link import Impairments, parse_time
from tests.wan.namespace import ip, remove_namespace

MTU = 1500
CONTROL_PATH = "/run/wan-{pid}.ctl"
PR_SET_TIMERSLACK = 29
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command_run(options: argparse.Namespace) -> int:
    """`run`: returns COMMAND's exit status."""
    for sign in ENDINGS:
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    emulator, child = Emulator(options), None
    control = CONTROL_PATH.format(pid=os.getpid())
    try:
        emulator.start()
        ControlServer(control, emulator).start()
        child = subprocess.Popen(options.command, env=os.environ | {
            "WAN_CLIENT": emulator.client.prefix, "WAN_SERVER": emulator.server.prefix,
            "WAN_CLIENT_ADDRESS": CLIENT_ADDRESS, "WAN_SERVER_ADDRESS": SERVER_ADDRESS,
            "WAN_SERVER_IPV6": SERVER_IPV6, "WAN_SERVER_NAME": SERVER_NAME,
            "WAN_CTL": control})  # fmt: skip
        make_prompt()
        emulator.forward_until_exit(os.pidfd_open(child.pid))
        status = child.wait()
        if options.stats:
            print("wan:", emulator.do_stats(), file=sys.stderr)
        return status if status >= 0 else 128 - status
    finally:
        for sign in ENDINGS:
            signal.signal(sign, signal.SIG_IGN)
        if child:
            end_child(child)
        emulator.stop()
        with suppress(FileNotFoundError):
            Path(control).unlink()


def make_prompt() -> None:
    """Let the forwarder wake up on time: priority, exact timers, no collector's pauses."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    sys.setswitchinterval(0.0005)
    gc.freeze()
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        os.nice(-15)


def end_child(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def command_ctl(options: argparse.Namespace) -> int:
    """`ctl`: send one request, print the answer."""
    path = options.socket or os.environ.get("WAN_CTL")
    if not path:
        sys.exit("wan ctl: WAN_CTL is not set; run it under `wan run`, or give --socket")
    done, text = ask(path, " ".join(options.request))
    print(text, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


def command_clean(_options: argparse.Namespace) -> int:
    """`clean`: remove namespaces whose `wan run` is gone."""
    for name, pid in re.findall(r"^(wan[cs]-(\d+))", ip("netns", "list"), re.MULTILINE):
        if not os.path.exists(f"/proc/{pid}"):
            remove_namespace(name)
            with suppress(FileNotFoundError):
                Path(CONTROL_PATH.format(pid=pid)).unlink()
            print("removed", name)
    return 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.wan", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="run|ctl|clean")
    run = commands.add_parser("run", help="run a command beside an emulated WAN")
    run.set_defaults(function=command_run)
    add_link_options(run)
    run.add_argument("--nat", action="store_true", help="put a NAT before the client")
    run.add_argument("--ipv6", action="store_true", help="IPv6 beside IPv4")
    run.add_argument("--direct", action="store_true", help="plain veth link, no emulation")
    run.add_argument("--tcp-cc", metavar="NAME", help="TCP congestion control in both namespaces")
    run.add_argument("--mtu", type=int, default=MTU)
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--stats", action="store_true", help="print link counters at the end")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    ctl = commands.add_parser("ctl", help="change a running WAN; `ctl help` lists requests")
    ctl.set_defaults(function=command_ctl)
    ctl.add_argument("--socket", metavar="PATH", help="instead of $WAN_CTL")
    ctl.add_argument("request", nargs="+")
    clean = commands.add_parser("clean", help="remove leftovers of killed instances")
    clean.set_defaults(function=command_clean)
    options = parser.parse_args(arguments)
    if options.function is command_run:
        collect_impairments(run, options)
    return options


def add_link_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("link, per direction").add_argument
    add("--delay", metavar="TIME", help="one-way delay, e.g. 50ms")
    add("--rtt", metavar="TIME", help="the same as --delay with half of TIME")
    add("--jitter", metavar="TIME", help="uniform, plus or minus")
    add("--loss", metavar="SHARE", help="e.g. 1%% or 0.01")
    add("--rate", metavar="RATE", help="e.g. 20mbit; default unlimited")
    add("--queue", metavar="SIZE", help="drop-tail queue of the rate: 100ms (default) or 500p")
    add("--reorder", metavar="SHARE", help="share of packets held back")
    add("--reorder-delay", metavar="TIME", help="how long (default 5ms)")
    add("--duplicate", metavar="SHARE", help="share of packets delivered twice")
    add("--up", metavar="K=V,...", default="", help="overrides for client to server")
    add("--down", metavar="K=V,...", default="", help="overrides for server to client")


def collect_impairments(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Turn --delay, --up … into options.up and options.down (Impairments)."""
    try:
        both = [f"{key}={getattr(options, key)}" for key in Impairments.PARSERS
                if getattr(options, key) is not None]  # fmt: skip
        if options.rtt is not None:
            both.append(f"delay={parse_time(options.rtt) / 2:.9f}")
        for side in ("up", "down"):
            own = [text for text in getattr(options, side).split(",") if text]
            setattr(options, side, Impairments().changed(both + own))
    except ValueError as error:
        parser.error(str(error))


def main() -> None:
    options = parse_arguments(sys.argv[1:])
    try:
        sys.exit(options.function(options))
    except (OSError, RuntimeError) as error:
        sys.exit(f"wan: {error}")


if __name__ == "__main__":
    main()
