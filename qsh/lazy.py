"""Importing less: packages without their `__init__`, and modules that load when first used.

Start-up is a feature, and two libraries make it slow by importing what qsh never calls. Two verbs:

- `bare_package(name)` registers a package whose `__init__` has not run. Its submodules import as
  usual; a name that only `__init__` would have is found in the submodule from which `__init__`
  imports it, and if that fails `__init__` runs after all. So nothing is ever missing.
- `defer(name, ...)` registers modules that load when a name of theirs is first asked for.

Both leave a module alone that is loaded already or not installed, so they can only make imports
cheaper. Call them before the import that they are for:

    bare_package("some_library")
    import some_library.part

The two functions below do that for the libraries themselves; their users call these. What it
saves, by `-X importtime` after asyncio (which the client loads in any case), best of 20:

    aioquic.quic.connection      112 ms → 39 ms
    asyncssh (public_key)        167 ms → 46 ms, and 28 ms where aioquic is loaded
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType

_ASYNCSSH, _CRYPTOGRAPHY, _OPENSSL = "asyncssh", "cryptography", "OpenSSL"


def light_aioquic() -> None:
    """Before `import aioquic.quic...`: without service_identity, pyOpenSSL and certifi, which check
    certificates against names and authorities (ours are attested by SSH host keys instead), and
    without what it uses of `cryptography` and `json` for other purposes than ours."""
    bare_package(_OPENSSL)
    defer(f"{_OPENSSL}.crypto", "service_identity", "certifi", "json")
    bare_package(f"{_CRYPTOGRAPHY}.hazmat.primitives.serialization")
    _light_x509()


def _light_x509() -> None:
    """aioquic asks cryptography's X.509 for a class and a function, which Rust has ready; the
    Python around them takes 20 ms and loads when anything else is asked for."""
    name = f"{_CRYPTOGRAPHY}.x509"
    try:
        ready = import_module(f"{_CRYPTOGRAPHY}.hazmat.bindings._rust").x509
        names = {"Certificate": ready.Certificate}
        names["load_der_x509_certificate"] = ready.load_der_x509_certificate
    except (ImportError, AttributeError):
        return
    if name not in sys.modules:
        defer(name)
        vars(sys.modules[name]).update(names)


def light_asyncssh() -> None:
    """Before `import asyncssh.<module>`: without SSH's transport, post-quantum key exchange (which
    starts a linker to look for liboqs) and X.509 certificates as SSH keys.

    asyncssh's `__init__` imports the modules of all key types, which register themselves: whoever
    uses keys imports `asyncssh.eddsa`, `ecdsa`, `rsa`, `sk_eddsa`, `sk_ecdsa` as needed.
    """
    bare_package(_ASYNCSSH)
    if f"{_ASYNCSSH}.crypto" not in sys.modules:
        bare_package(f"{_ASYNCSSH}.crypto")
        # asyncssh then finds X.509 "not available", as where pyOpenSSL is not installed.
        sys.modules.setdefault(f"{_ASYNCSSH}.crypto.x509", None)  # type: ignore[arg-type]


def bare_package(name: str) -> None:
    """Register the package `name` without running its `__init__`.

    Without effect if it is loaded already, is not installed, or is no package.
    """
    spec = _spec_of(name)
    if spec is not None and spec.submodule_search_locations is not None:
        _register(_BarePackage(name), spec)


def defer(*names: str) -> None:
    """Let modules load at their first use. One that is loaded or not installed is left alone."""
    for name in names:
        spec = _spec_of(name)
        if spec is not None and spec.loader is not None:
            _register(_DeferredModule(name), spec)


def _spec_of(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return None
    try:
        return find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None


def _register(module: ModuleType, spec: ModuleSpec) -> None:
    """What the import system does around loading (importlib's `_init_module_attrs`)."""
    name = spec.name
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


class _DeferredModule(ModuleType):
    """A module whose code has not run; it runs when a name is missed.

    importlib.util.LazyLoader does not serve: up to Python 3.11 the import statement itself reads
    `__spec__` from the module and so loads it at once.
    """

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return self._load(name)

    def _load(self, name: str) -> object:
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


class _BarePackage(_DeferredModule):
    """A package whose `__init__` has not run (yet)."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or find_spec(f"{self.__name__}.{name}") is not None:
            # A submodule: `from package import submodule` tries the attribute first, and imports
            # the submodule when there is none.
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home = _imported_names(self).get(name)
        if home is None:
            return self._load(name)
        value = getattr(import_module(home), name)
        setattr(self, name, value)
        return value


def _imported_names(package: ModuleType) -> dict[str, str]:
    """name → module, for each `from module import name` in the package's `__init__`."""
    import ast  # 3 ms, but dataclasses has imported it by now

    loader = package.__spec__.loader if package.__spec__ else None
    source = loader.get_source(package.__name__) if isinstance(loader, SourceFileLoader) else None
    homes: dict[str, str] = {}
    for node in ast.walk(ast.parse(source or "")):
        if isinstance(node, ast.ImportFrom) and node.module and node.level < 2:
            home = f"{package.__name__}.{node.module}" if node.level else node.module
            if home != package.__name__:
                homes |= {a.name: home for a in node.names if a.asname is None}
    return homes
