"""Records behave as frozen dataclasses with slots do."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from qsh.record import hidden, record, replace


@record
class Point:
    """A point."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2

    def sum(self):
        return self.x + self.y


@record
class Login:
    user: str
    password: str = hidden()
    new: str | None = hidden(default=None)


@record
class Nothing:
    """No fields at all."""


@dataclass(frozen=True, slots=True)
class Model:
    x: int
    y: int = 2


def test_arguments():
    assert Point(1) == Point(x=1, y=2) == Point(1, 2)
    assert Point(1, 3).sum() == 4
    assert Point.kind == "point"
    assert Point.__doc__ == "A point."
    assert Nothing() == Nothing()


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}),
                                               ((1,), {"z": 1})])
def test_wrong_arguments_as_a_dataclass(values, named):
    with pytest.raises(TypeError) as ours:
        Point(*values, **named)
    with pytest.raises(TypeError) as theirs:
        Model(*values, **named)
    assert str(ours.value).replace("Point", "Model").replace("_self", "self") == str(theirs.value)


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}),
                                               ((1,), {"z": 1})])
def test_wrong_arguments_of_the_very_first_one(values, named):
    @record
    class Fresh:
        x: int
        y: int = 2

    with pytest.raises(TypeError) as ours:
        Fresh(*values, **named)
    with pytest.raises(TypeError) as theirs:
        Model(*values, **named)
    assert str(ours.value).rpartition("<locals>.")[2].replace("Fresh", "Model").replace(
        "_self", "self") == str(theirs.value)


def test_the_first_ones_are_as_all_others():
    @record
    class Fresh:
        x: int
        y: int = 2

    first, second, third = Fresh(1), Fresh(x=1), Fresh(1, y=2)
    assert first == second == third
    assert (first.x, first.y) == (1, 2)


def test_equal_values_are_one_key():
    assert {Point(1): "a"}[Point(1, 2)] == "a"
    assert Point(1) != Point(2)
    assert Point(1) != Model(1)
    assert hash(Nothing()) == hash(Nothing())


def test_frozen():
    point = Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: setattr(point, "other", 2),
                   lambda: delattr(point, "x")):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    assert not hasattr(point, "__dict__")


def test_repr_hides_what_is_hidden():
    assert repr(Point(1)) == "Point(x=1, y=2)"
    assert repr(Login("me", "secret", "other")) == "Login(user='me')"
    assert Login("me", "secret") != Login("me", "other")
    assert Login("me", "secret").new is None


def test_match():
    match Point(1, 5):
        case Point(x, y):
            assert (x, y) == (1, 5)
        case _:
            raise AssertionError


def test_own_methods_win():
    @record
    class Odd:
        x: int

        def __repr__(self):
            return "odd"

        def __eq__(self, other):
            return True

        __hash__ = None

    assert repr(Odd(1)) == "odd"
    assert Odd(1) == 5
    with pytest.raises(TypeError):
        hash(Odd(1))


def test_no_inheritance_of_fields():
    with pytest.raises(TypeError, match="inherit"):
        @record
        class More(Point):
            z: int


def test_text_annotations():
    @record
    class Late:
        label: "ClassVar[int]" = 3
        x: "int" = 1

    assert repr(Late()).endswith("Late(x=1)")


def test_the_first_instance_may_be_wrong():
    @record
    class Once:
        x: int

    with pytest.raises(TypeError):
        Once()
    assert Once(1).x == 1


def test_replace_changes_what_it_is_told_and_keeps_the_rest():
    assert replace(Point(1, 5), x=3) == Point(3, 5)
    assert replace(Login("ada", "pw"), user="bob") == Login("bob", "pw")
    with pytest.raises(TypeError):
        replace(Point(1), z=1)
