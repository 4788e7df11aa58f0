import re

import topics.errors
from topics import TopicError


def test_the_docstring_prints_the_tree():
    printed = set(re.findall(r"\+-- (\w+)", TopicError.__doc__))
    assert printed == {kind.__name__ for kind in TopicError.__subclasses__()}


def test_every_error_is_exported():
    assert {kind.__name__ for kind in TopicError.__subclasses__()} <= set(topics.__all__)
