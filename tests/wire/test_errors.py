import re

from wire import cursors, events, parameters, ranges
from wire.errors import WireError


def subclasses(cls):
    return {c.__name__ for c in cls.__subclasses__()} | {
        name for c in cls.__subclasses__() for name in subclasses(c)
    }


def test_the_docstring_prints_the_tree():
    printed = set(re.findall(r"[├└]── (\w+)", WireError.__doc__))
    assert printed == subclasses(WireError)
    kinds = (
        ranges.UnsatisfiableRange,
        cursors.MalformedCursor,
        events.MalformedEvent,
        parameters.UnknownParameter,
    )
    assert printed == {kind.__name__ for kind in kinds}


def test_an_error_of_the_wire_is_a_value_error():
    assert issubclass(WireError, ValueError)
