"""The native engine as a wheel, built where cargo is and kept until its sources change."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.sources import ROOT

NATIVE = ROOT / "native"


def has_cargo() -> bool:
    """Whether a Rust toolchain is here that works (a rustup without one has a `cargo`, too)."""
    try:
        return subprocess.run(["cargo", "-V"], capture_output=True).returncode == 0
    except OSError:
        return False


def cache_folder() -> Path:
    """Where built things are kept between runs; readable by all when made by root."""
    if os.geteuid() == 0:
        return Path("/var/cache/qsh-tests")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qsh-tests"


def sources_digest() -> str:
    """Changes when anything does that the wheel is built from."""
    files = [path for path in (NATIVE / "src").rglob("*") if path.is_file()]
    files += [path for folder in (NATIVE, NATIVE / ".cargo") for path in folder.glob("*")
              if path.suffix in (".toml", ".lock", ".py", ".rs")]  # fmt: skip
    digest = hashlib.sha256(sys.platform.encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(NATIVE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


CHECKS = (
    ("clippy", "--all-targets", "--", "-D", "warnings"),
    ("clippy", "--all-targets", "--no-default-features", "--", "-D", "warnings"),
    ("test", "--no-default-features"),
)
"""cargo's, with and without Python's face; its tests need none."""


def check() -> bool:
    """Run the crate's own checks, once for each state of its sources; whether they passed."""
    passed = cache_folder() / "native" / sources_digest() / "checked"
    if passed.exists():
        return True
    environment = os.environ | {"CARGO_TARGET_DIR": str(cache_folder() / "target")}
    for name, *options in CHECKS:
        if name == "clippy" and not _has_clippy():
            print("no clippy here (rustup component add clippy)", flush=True)
            continue
        command = ["cargo", name, "--quiet", "--locked", *options]
        done = subprocess.run(command, cwd=NATIVE, env=environment, stdin=subprocess.DEVNULL)
        if done.returncode:
            return False
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()
    return True


def _has_clippy() -> bool:
    return subprocess.run(["cargo", "clippy", "-V"], capture_output=True).returncode == 0


def build_wheel() -> Path | None:
    """The wheel of the native engine; None, with pip's words on stderr, if it cannot be built."""
    folder = cache_folder() / "native" / sources_digest()
    if not list(folder.glob("*.whl")):
        print("building it (some minutes the first time)", flush=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, NATIVE],
            env=os.environ | {"CARGO_TARGET_DIR": str(cache_folder() / "target")},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return next(folder.glob("*.whl"), None)


def install_wheel(wheel: Path, python: str | Path) -> bool:
    """Put exactly this wheel where `python` finds it; whether that worked."""
    stamp = Path(python).parent.parent / ".qsh-native-wheel"
    built_from = wheel.parent.name
    has_it = subprocess.run([python, "-c", "import qsh_native"], stderr=subprocess.DEVNULL, cwd="/")
    if has_it.returncode == 0 and stamp.exists() and stamp.read_text() == built_from:
        return True
    pip = [python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel]
    if subprocess.run(pip, stdin=subprocess.DEVNULL).returncode:
        return False
    stamp.write_text(built_from)
    return True
