import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recsys.data.columns import WantedColumns, find_columns
from recsys.data.delimited import DelimitedRows
from recsys.data.formats import separator
from recsys.data.lines import measure
from recsys.data.rows import BadRows


def rows_of(chunk):
    numbers = np.column_stack([chunk.values, chunk.timestamps]).tolist()
    return list(zip(chunk.users.to_pylist(), chunk.items.to_pylist(), numbers, strict=True))


field = st.one_of(
    st.text('ab",;| .5e-+\t:1', max_size=5),
    st.sampled_from(
        [
            '"a"',
            '"a""b"',
            '"a,b"',
            '"a;b"',
            '"a|b"',
            "NA",
            "nan",
            "inf",
            "1.5",
            "2020-01-01",
            "",
            " 7 ",
        ]
    ),
)


@pytest.mark.parametrize("input_format", ["csv", "ssv", "psv", "tsv", "dat", "inter"])
@settings(max_examples=250, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            field, field, field | st.sampled_from(["1", "2.5"]), field | st.sampled_from(["3"])
        ),
        min_size=1,
        max_size=3,
    )
)
@example(rows=[('"a', 'b"', "1", "2")])
@example(rows=[('"ab"c', "x", "1", "2")])
@example(rows=[('""c', "x", "1", "2")])
@example(rows=[('""""c', "x", "1", "2")])
@example(rows=[('1,"', '"1', "7", "3")])  # a comma within quotes before the closing one
def test_what_is_read_at_once_is_read_alike_line_by_line(input_format, rows):
    """Arrow is lenient; where it is used, the strict reader must agree."""
    mark = separator(input_format)
    block = measure("".join(mark.join(row) + "\n" for row in rows).encode(), 1)
    columns = find_columns(["user", "item", "rating", "time"], WantedColumns(), "a")
    bad = BadRows("a", tolerated=99)
    reader = DelimitedRows(input_format, columns, bad)
    reader._look_at_times(block)
    at_once = reader._read_at_once(block)
    if at_once is not None:
        assert rows_of(at_once) == rows_of(reader._read_by_line(block))
        assert bad.messages == []


@pytest.mark.parametrize(("input_format", "mark"), [("ssv", ";"), ("psv", "|")])
def test_plain_rows_between_semicolons_or_pipes_are_read_at_once(input_format, mark):
    text = f'1,5;"a{mark}b";3;4\n"2";c,"d";4.5;5\n'.replace(";", mark)
    columns = find_columns(["user", "item", "rating", "time"], WantedColumns(), "a")
    rows = DelimitedRows(input_format, columns, BadRows("a", 0))
    chunk = rows._read_at_once(measure(text.splitlines(True)[0].encode(), 1))
    assert rows_of(chunk) == [("1,5", f"a{mark}b", [3.0, 4.0])]
    # A quote after a comma stands within a field here, and is no opening one.
    assert rows._read_at_once(measure(text.encode(), 1)) is None


def test_plain_rows_are_read_at_once():
    block = measure(b'1,"a,b",3,4\n\n2,NA,4.5,5\n', 1)
    columns = find_columns(["user", "item", "rating", "time"], WantedColumns(), "a")
    chunk = DelimitedRows("csv", columns, BadRows("a", 0))._read_at_once(block)
    assert rows_of(chunk) == [("1", "a,b", [3.0, 4.0]), ("2", "NA", [4.5, 5.0])]
