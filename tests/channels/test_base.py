"""Forms are read as the standard library reads them."""

from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.channels.base import Form, decode

LIMIT = 8
PARTS = st.one_of(
    st.sampled_from([b"&", b"=", b"+", b"%", b"%2", b"%26", b"%3D", b"%3d", b"%C3%BC", b"%FF", b"%00"]),
    st.sampled_from([b"\xff", "ü".encode(), b"Body"]),
    st.text(max_size=5).map(lambda text: quote_plus(text, errors="replace").encode()),
    st.binary(max_size=3),
)


@given(st.lists(PARTS, max_size=24).map(b"".join))
@example(b"&&a=1&&b&=c&d==e&")
@example(b"a=1&&&&&&&&b=2")
@example(b"a%3Db=c%26d&e+f=%2526")
@example(b"a=\xc3%A9")
def test_a_form_is_read_as_by_the_standard_library(body):
    try:
        expected = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=LIMIT)
    except ValueError:
        with pytest.raises(ValueError):
            decode(body, max_fields=LIMIT)
    else:
        assert decode(body, max_fields=LIMIT) == Form(expected)
