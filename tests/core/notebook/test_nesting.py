"""How deep what JSON holds may be nested, and what is left of what is nested deeper."""

import pytest

from airflow_nbjobs.core.notebook.nesting import cut, is_deeper_than


def nested(levels, make, value=1):
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda item: [item], lambda item: {"a": item}])
def test_a_copy_is_as_deep_as_it_may_be(make):
    for levels in range(5):
        deep = nested(levels, make)
        assert [is_deeper_than(deep, most) for most in range(6)] == [levels > most for most in range(6)]
        for most in range(5):
            assert cut(deep, most) == (deep if levels <= most else nested(most, make, "…"))
