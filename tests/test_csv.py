"""CSV through whole pipelines: against Python's own reader, and one message a row by a script."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from vrsky_fast import Message, Pipeline

from .conftest import Write

FILE = """\
customer: acme
pipeline: rows
in:
  http: {path: /rows}
steps:
  - convert: {from: csv, numbers: [qty]}
  - script: {code: 'export default (rows) => rows'}
out:
  stdout: {}
"""


def test_a_script_makes_a_message_of_each_row(write: Write) -> None:
    pipeline = Pipeline.load(write("rows.yaml", FILE))
    [result] = pipeline.process([Message(b"sku,qty\r\nA,1\r\nB,2.50\r\n", headers={"Content-Type": "text/csv"})])
    assert [output.payload for output in result.outputs] == [b'{"sku":"A","qty":1}', b'{"sku":"B","qty":2.50}']


def test_a_torn_quote_names_line_column_and_byte(write: Write) -> None:
    pipeline = Pipeline.load(write("rows.yaml", FILE))
    [result] = pipeline.process([Message(b'sku,qty\nA,1\n"B,2\n')])
    assert result.code == "convert/csv-quote"
    assert result.place is not None
    assert (result.place.line, result.place.column, result.place.offset) == (3, 1, 12)


CELLS = st.text(st.sampled_from('ab,;"\r\n \té\u2028'), max_size=6)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_what_python_writes_is_read_as_python_reads_it(rows: list[tuple[str, str]]) -> None:
    file = {"customer": "acme", "pipeline": "rows", "in": {"http": {"path": "/rows"}}, "out": {"stdout": {}}}
    file["steps"] = [{"convert": {"from": "csv", "csv": {"columns": ["a", "b"]}}}]
    pipeline = Pipeline.from_json(json.dumps(file))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("a", "b"), *rows])
    [result] = pipeline.process([Message(text.getvalue().encode())])
    [output] = result.outputs
    assert json.loads(output.payload) == list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
