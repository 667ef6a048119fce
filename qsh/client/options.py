"""The command line of qsh: ssh(1)'s letters, and long options for what ssh has not.

Turns the words into Options and nothing more: most letters become lines of configuration that
stand before every file. No letter is ever ignored: what ssh has and qsh has not yet is named as
such. argparse is not used: it cannot take options after the host, and costs 16 ms.
"""

from qsh.client import session_options
from qsh.client.session_options import SessionWish
from qsh.config.lines import ConfigLine, option_line, parse_option
from qsh.config.specs import Destination, parse_destination
from qsh.errors import UsageError
from qsh.record import record

HINT = "try qsh --help"

KEYWORD_OF_LETTER = {
    "B": "BindInterface", "b": "BindAddress", "c": "Ciphers", "D": "DynamicForward",
    "e": "EscapeChar", "I": "PKCS11Provider",
    "i": "IdentityFile", "J": "ProxyJump", "L": "LocalForward", "l": "User", "m": "MACs",
    "P": "Tag", "p": "Port", "R": "RemoteForward", "S": "ControlPath", "w": "TunnelDevice",
}  # fmt: skip
"""Letters with a value: short for `-o Keyword=value`, in the order of the command line."""

LINE_OF_LETTER = {
    "2": ("Protocol", "2"), "4": ("AddressFamily", "inet"), "6": ("AddressFamily", "inet6"),
    "A": ("ForwardAgent", "yes"), "a": ("ForwardAgent", "no"), "C": ("Compression", "yes"),
    "f": ("ForkAfterAuthentication", "yes"), "g": ("GatewayPorts", "yes"),
    "k": ("GSSAPIDelegateCredentials", "no"), "n": ("StdinNull", "yes"),
    "N": ("SessionType", "none"), "s": ("SessionType", "subsystem"),
    "T": ("RequestTTY", "no"), "X": ("ForwardX11", "yes"), "x": ("ForwardX11", "no"),
    "Y": ("ForwardX11", "yes"),
}  # fmt: skip
"""Letters without a value: they win over every `-o`, and the last of two wins."""

ALSO = {"N": ("RequestTTY", "no"), "Y": ("ForwardX11Trusted", "yes")}
"""What else such a letter sets."""

OTHER_FLAGS = "GMqtvVy"
OTHER_WITH_VALUE = "EFOoQW"

IMPLIED_BY_STDIO = {"SessionType": "none", "RequestTTY": "no", "ExitOnForwardFailure": "yes",
                    "ClearAllForwardings": "yes"}  # fmt: skip
"""Set by -W where no option says otherwise."""

REFUSED = {"K": "qsh has no GSSAPI: log in with a key, or use ssh"}
"""Letters that are refused for good: what to do instead."""

LONG_OPTIONS = ("bootstrap", "demo", "doctor", "help", "json", "status", "version",
                *session_options.OPTIONS)  # fmt: skip
"""Those of sessions may have a value: --name=VALUE."""

HELP = """\
usage: qsh [options] [user@]host [command ...]
       qsh --demo [options] [-- command ...]
  -p PORT, -l USER, -J HOSTS  UDP port (default: 22); login name; by way of
  -i FILE      identity (private key) to offer; may be repeated
  -o KEY=VAL   any keyword of ssh_config(5), before all files
  -F FILE      read this configuration file only; `none` for no file
  -t, -T       ask for a terminal (-tt: even without one here); never ask
  -n, -N, -f   stdin from /dev/null; run no command; background after login
  -e CHAR, -v, -q  escape character (default: ~); say more (-vvv); say nothing
  -M, -S PATH, -O CMD  share the connection; its socket; check, exit, …
  -L, -R SPEC  forward [udp/][ADDRESS:]PORT:HOST:HOSTPORT from here; from there
  -D PORT, -W HOST:PORT  a SOCKS proxy here; connect stdin and stdout
  -A, -X, -Y   forward the agent; X11; X11 for trusted applications
  -w N[:M]     a tunnel of IP packets between device tunN here and tunM there
  -4, -6, -b ADDRESS  use IPv4 only; IPv6 only; send from this address
  -E FILE, -y  append what is said to FILE; send it to syslog
  -G, -Q KIND  print the settings for the host; algorithms (-Q help: kinds)
  --session=NAME, --list, --kill=NAME  one that stays (--detach: now); list, end
  --attach[=NAME]  go on with one (--share, --read-only: beside others)
  --doctor, --status  the way to the host; running clients (with --json)
  --bootstrap, --demo  have ssh start a qshd at the host for this visit; try it
-2 -a -B -C -c -g -I -k -m -P -s -x are taken as ssh takes them. A host may be
written ssh://[user@]host[:port] or qsh://…. --help, -V, --version, qsh(1).
"""


@record
class Options:
    """What the command line says."""

    destination: Destination | None = None
    """None only with `demo`, `help`, `status` or `version`."""
    command: tuple[str, ...] = ()
    """The words after the host; joined by blanks they are the remote command."""
    lines: tuple[ConfigLine, ...] = ()
    """Keywords set by letters, `-o`, and the destination's user and port, first value wins."""
    config_file: str | None = None
    """`-F`: the one file to read; `none` for no file at all."""
    log_file: str | None = None
    stdio: str | None = None
    """`-W`: what to connect standard input and output to."""
    control: str | None = None
    """`-O`: what to tell the master of a shared connection."""
    query: str | None = None
    """`-Q`: what to list."""
    to_syslog: bool = False
    prints_settings: bool = False
    """`-G`"""
    log_level: str | None = None
    """From -v and -q, for what happens before the settings are known; also in `lines`."""
    demo: bool = False
    bootstrap: bool = False
    """`--bootstrap`: have ssh start the server."""
    doctor: bool = False
    """`--doctor`: examine the way to the host."""
    json: bool = False
    status: bool = False
    """`--status`: tell about the clients that are running."""
    help: bool = False
    version: bool = False
    wish: SessionWish | None = None
    """What is to be done with a session by name."""


def parse(argv: list[str]) -> Options:
    """Read the words after the program's name. Raises UsageError, or ConfigError for an `-o`."""
    parser = _Parser(list(argv))
    parser.run()
    return parser.options()


class _Parser:
    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.destination: Destination | None = None
        self.command: tuple[str, ...] = ()
        self.lines: list[ConfigLine] = []
        self.flags: dict[str, ConfigLine] = {}
        self.values: dict[str, str] = {}
        self.verbosity = 0
        self.long: set[str] = set()
        self.sessions: dict[str, str | None] = {}
        self.others: set[str] = set()

    def run(self) -> None:
        """Options, the first word (the host), options again, then the command."""
        while self._take_options():
            if self.destination or "demo" in self.long:
                self.command = tuple(self.words)
                return
            self._take_destination(self.words.pop(0))

    def options(self) -> Options:
        demo = "demo" in self.long
        asks = bool(self.long & {"help", "status", "version"}) or "Q" in self.values
        if demo and self.destination:
            raise UsageError("--demo starts a server of its own: write --demo -- COMMAND, no host")
        if demo and ("G" in self.others or "forkafterauthentication" in self.flags):
            raise UsageError("--demo takes neither -G nor -f: its server ends with the session")
        if not (self.destination or demo or asks):
            raise UsageError(f"no host given ({HINT})")
        level = self.flags.get("loglevel")
        return Options(
            self.destination,
            self.command,
            (*self.flags.values(), *self.lines, *self._implied()),
            self.values.get("F"),
            self.values.get("E"),
            self._stdio(),
            self.values.get("O"),
            self.values.get("Q"),
            "y" in self.others,
            "G" in self.others,
            level.arguments[0] if level else None,
            demo,
            self._is_bootstrap(),
            self._is_doctor(),
            "json" in self.long,
            self._is_status(),
            "help" in self.long,
            "version" in self.long,
            session_options.read_wish(self.sessions, self.command),
        )

    def _is_bootstrap(self) -> bool:
        if "bootstrap" not in self.long:
            return False
        if "demo" in self.long or self.sessions:
            raise UsageError("--bootstrap starts a server for this visit only: no --demo with it, "
                             "and no session to list, attach or leave")
        return True

    def _is_doctor(self) -> bool:
        if "doctor" not in self.long:
            if "json" in self.long and "status" not in self.long:
                raise UsageError("--json goes with --doctor or --status")
            return False
        if self.command or "demo" in self.long or self.sessions or "W" in self.values:
            raise UsageError("--doctor only looks: leave commands and sessions out")
        return True

    def _is_status(self) -> bool:
        if "status" not in self.long:
            return False
        if self.command or self.sessions or self.long & {"bootstrap", "demo", "doctor"}:
            raise UsageError("--status only asks running clients: give a host, or nothing")
        return True

    def _stdio(self) -> str | None:
        target = self.values.get("W")
        if target is not None and self.command:
            raise UsageError("-W runs no command: leave the command out")
        return target

    def _implied(self) -> list[ConfigLine]:
        implied = IMPLIED_BY_STDIO if "W" in self.values else {}
        lines = [option_line(name, value, "-W") for name, value in implied.items()]
        if "detach" in self.sessions:
            lines.append(option_line("RequestTTY", "force", "--detach"))  # for who attaches
        if any(line.source.startswith("-w") for line in self.lines):
            lines.append(option_line("Tunnel", "point-to-point", "-w"))
        return lines

    def _take_options(self) -> bool:
        """Consume options; whether words are left that are none."""
        while self.words:
            word = self.words[0]
            if len(word) < 2 or word[0] != "-":
                return self._demo_has_no_host(word)
            self.words.pop(0)
            if word == "--":
                return bool(self.words)
            if word.startswith("--"):
                self._take_long(word[2:])
            else:
                self._take_cluster(word[1:])
        return False

    def _demo_has_no_host(self, word: str) -> bool:
        if "demo" in self.long:
            raise UsageError(f"--demo takes no host: write --demo -- {word} for a command")
        return True

    def _take_long(self, name: str) -> None:
        head, equals, value = name.partition("=")
        if head in session_options.OPTIONS:
            self.sessions[head] = value if equals else None
            return
        if name not in LONG_OPTIONS:
            raise UsageError(f"unknown option --{name} ({HINT})")
        self.long.add(name)

    def _take_cluster(self, letters: str) -> None:
        """`-vvT`, `-p2222`, `-vp 2222`: letters until one takes the rest as its value."""
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in KEYWORD_OF_LETTER or letter in OTHER_WITH_VALUE:
                if not letters and not self.words:
                    raise UsageError(f"option -{letter} needs a value ({HINT})")
                self._take_value(letter, letters or self.words.pop(0))
                return
            self._take_flag(letter)

    def _take_value(self, letter: str, value: str) -> None:
        if letter == "o":
            self.lines.append(parse_option(value))
        elif letter in KEYWORD_OF_LETTER:
            keyword = KEYWORD_OF_LETTER[letter]
            self.lines.append(option_line(keyword, value, f"-{letter} {value}"))
        else:
            self.values[letter] = value

    def _take_flag(self, letter: str) -> None:
        if letter in LINE_OF_LETTER:
            self._set(*LINE_OF_LETTER[letter], letter)
            if letter in ALSO:
                self._set(*ALSO[letter], letter)
        elif letter == "v":
            self.verbosity = min(self.verbosity + 1, 3)
            self._set("LogLevel", f"DEBUG{self.verbosity}", letter)
        elif letter == "q":
            self._set("LogLevel", "QUIET", letter)
        elif letter == "t":
            before = self.flags.get("requesttty")
            again = before is not None and before.arguments != ("no",)
            self._set("RequestTTY", "force" if again else "yes", letter)
        elif letter == "M":
            self._set("ControlMaster", "ask" if "controlmaster" in self.flags else "yes", letter)
        elif letter == "V":
            self.long.add("version")
        elif letter in OTHER_FLAGS:
            self.others.add(letter)
        elif letter in REFUSED:
            raise UsageError(f"option -{letter}: {REFUSED[letter]}")
        else:
            raise UsageError(f"unknown option -{letter} ({HINT})")

    def _set(self, keyword: str, value: str, letter: str) -> None:
        self.flags[keyword.lower()] = option_line(keyword, value, f"-{letter}")

    def _take_destination(self, word: str) -> None:
        destination = parse_destination(word)
        if destination.user is not None:
            self.lines.append(option_line("User", destination.user, word))
        if destination.port is not None:
            self.lines.append(option_line("Port", str(destination.port), word))
        self.destination = destination
