"""Batches that are made while the one before is stored."""

import pytest

from gateway.conversation.ahead import ahead


def test_each_is_made_while_the_one_before_is_worked_on_and_no_more():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    given = ahead(items())
    assert next(given) == 0
    assert next(given) == 1
    given.close()
    assert made == [0, 1, 2]


def test_what_was_made_before_an_error_is_given():
    def items():
        yield "whole"
        raise ValueError

    given = ahead(items())
    assert next(given) == "whole"
    with pytest.raises(ValueError):
        next(given)
