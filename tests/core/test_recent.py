"""What was seen lately is remembered, and not for ever."""

from gateway.core.recent import Recent


def test_the_oldest_is_forgotten_first():
    recent = Recent(3)
    for one in "abcd":
        recent.add(one)
    assert [one in recent for one in "abcd"] == [False, True, True, True]
