"""Frozen values with named fields, cheap to declare: what every message, event and plan here is.

    @record
    class WindowChange:
        columns: UInt32
        rows: UInt32 = 0

A `dataclass(frozen=True, slots=True)` in all that matters (positional and keyword arguments,
defaults, equality, hash, repr, match), but without its 0.4 ms of code generation per class, which
for the hundred classes that a client loads was a quarter of its start-up. `__init__` is written
when the second instance is made, since many have one only (to write that of the client's settings
takes 5 ms); the rest is shared. Imports nothing of qsh.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar, dataclass_transform, get_origin

T = TypeVar("T")
_NOTHING: Any = object()


class _Hidden:
    """A field that `repr` leaves out."""

    __slots__ = ("default",)

    def __init__(self, default: Any) -> None:
        self.default = default


def hidden(*, default: Any = _NOTHING) -> Any:
    """Declares a field whose value never shows in a repr: a password, say."""
    return _Hidden(default)


@dataclass_transform(frozen_default=True, field_specifiers=(hidden,))
def record(cls: type[T]) -> type[T]:
    """Make a class of annotations a frozen value. A record cannot be derived from another."""
    if any(hasattr(base, "__match_args__") for base in cls.__mro__[1:]):
        raise TypeError(f"{cls.__name__}: a record does not inherit fields")
    body = dict(cls.__dict__)
    names = tuple(
        name for name, kind in body.get("__annotations__", {}).items() if not _is_class_var(kind)
    )
    defaults, secret = {}, set()
    for name in names:
        default = body.pop(name, _NOTHING)
        if isinstance(default, _Hidden):
            secret.add(name)
            default = default.default
        if default is not _NOTHING:
            defaults[name] = default
    for leftover in ("__dict__", "__weakref__"):
        body.pop(leftover, None)
    shared = {"__eq__": _equal, "__hash__": _hash, "__repr__": _repr,
              "__setattr__": _refuse, "__delattr__": _refuse}  # fmt: skip
    body.update({name: method for name, method in shared.items() if name not in body})
    body.update(__slots__=names, __match_args__=names, __init__=_first_init,
                _defaults_=defaults, _hidden_=frozenset(secret))  # fmt: skip
    if body["__eq__"] is _equal:
        body["__hash__"] = cls.__dict__.get("__hash__") or _hash  # `__eq__` alone sets it to None
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, body)
    return made


def replace(value: T, **changes: Any) -> T:
    """A record with some fields changed."""
    kept = {name: getattr(value, name) for name in value.__match_args__}  # type: ignore[attr-defined]
    return type(value)(**{**kept, **changes})


def _is_class_var(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind.startswith(("ClassVar", "typing.ClassVar"))
    return kind is ClassVar or get_origin(kind) is ClassVar


def _first_init(self: Any, *values: Any, **named: Any) -> None:
    """Makes the first instance, field by field."""
    cls = type(self)
    cls.__init__ = _second_init
    names = cls.__match_args__
    given = dict(zip(names, values, strict=False))
    whole = {**cls._defaults_, **given, **named}
    if len(given) < len(values) or given.keys() & named.keys() or whole.keys() != set(names):
        _second_init(self, *values, **named)  # which says what is wrong
        return
    for name in names:
        object.__setattr__(self, name, whole[name])


def _second_init(self: Any, *values: Any, **named: Any) -> None:
    """Stands in for `__init__` until the second instance is made."""
    cls = type(self)
    cls.__init__ = _write_init(cls)
    cls.__init__(self, *values, **named)


def _write_init(cls: Any) -> Callable[..., None]:
    names, defaults = cls.__match_args__, cls._defaults_
    parameters = [f"{n}=_defaults[{n!r}]" if n in defaults else n for n in names]
    lines = [f"def __init__({', '.join(['_self', *parameters])}):"]
    lines += [f"    _set(_self, {name!r}, {name})" for name in names] or ["    pass"]
    space: dict[str, Any] = {"_set": object.__setattr__, "_defaults": defaults}
    exec("\n".join(lines), space)  # noqa: S102  (only the class' own names are in it)
    init: Callable[..., None] = space["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _values(value: Any) -> tuple[Any, ...]:
    return tuple(getattr(value, name) for name in value.__match_args__)


def _equal(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = [f"{name}={getattr(self, name)!r}" for name in self.__match_args__
             if name not in self._hidden_]  # fmt: skip
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *_: Any) -> NoReturn:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: records are frozen")
