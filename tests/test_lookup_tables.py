"""`tables` of a pipeline file: files beside it, their faults with place, and what a customer's may take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vrsky_fast import Message, config
from vrsky_fast.config import InvalidConfig, Problem, folder

from .conftest import Write

TEXT = """customer: acme
pipeline: orders
in: {http: {path: /orders}}
tables:
  countries: {file: data/countries.csv, key: code, numbers: [vat], delimiter: ";"}
  rates: {file: rates.json}
steps:
  - set:
      country: 'lookup("countries", msg.code)'
      rate: 'lookup("rates", msg.currency, 1)'
  - script: { code: "export default (msg, ctx) => ({...msg, vat: ctx.lookup('countries', msg.code).vat})" }
out: {stdout: {}}
"""
COUNTRIES = "code;name;vat\nDE;Deutschland;0.190\nCH;Schweiz;\n"
RATES = '{"EUR": 1.08, "USD": {"per": 2}}'


def problems(path: Path) -> list[Problem]:
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)
    return list(caught.value.problems)


def test_expressions_and_scripts_look_rows_up(write: Write) -> None:
    write("data/countries.csv", COUNTRIES)
    write("rates.json", RATES)
    file = config.load(write("orders.yaml", TEXT))
    (outcome,) = file.compiled.process([Message(b'{"code":"DE","currency":"EUR"}')])
    (output,) = outcome.outputs
    country = {"code": "DE", "name": "Deutschland", "vat": 0.19}
    assert json.loads(output.payload) == {
        "code": "DE",
        "currency": "EUR",
        "country": country,
        "rate": 1.08,
        "vat": 0.19,
    }
    assert b'"vat":0.190}' in output.payload, "every digit of the table"
    assert {Path(path).name for path in file.beside} == {"countries.csv", "rates.json"}
    assert file.summary.table_bytes > 0


def test_the_revision_changes_with_a_table(write: Write) -> None:
    write("data/countries.csv", COUNTRIES)
    write("rates.json", RATES)
    path = write("orders.yaml", TEXT)
    first = config.load(path).summary.revision
    assert config.load(path).summary.revision == first
    write("data/countries.csv", COUNTRIES + "FR;France;0.2\n")
    assert config.load(path).summary.revision != first


@pytest.mark.parametrize(
    ("countries", "rates", "file", "code", "place", "says"),
    [
        (COUNTRIES + 'FR;"France;1\n', RATES, "data/countries.csv", "config/invalid-table", (4, 4), "not closed"),
        (COUNTRIES + "FR;1\n", RATES, "data/countries.csv", "config/invalid-table", (4, 1), "2 fields"),
        (COUNTRIES + "DE;a;1\n", RATES, "data/countries.csv", "config/invalid-table", (4, 1), "`DE` stands twice"),
        (COUNTRIES + "FR;a;1,5\n", RATES, "data/countries.csv", "config/invalid-table", (4, 6), "`1,5` is no number"),
        (COUNTRIES, '{\n"a": 1,\n}', "rates.json", "config/invalid-table", (3, 1), ""),
        ("id;vat\n", RATES, "orders.yaml", "config/invalid-table", (5, 46), "no column `code`"),
        ("code\n", RATES, "orders.yaml", "config/invalid-table", (5, 62), "no column `vat`"),
        (COUNTRIES, None, "orders.yaml", "config/file-not-found", (6, 17), "rates.json"),
        (COUNTRIES + "x" * (4 << 20), RATES, "orders.yaml", "config/too-large", (5, 21), "4,194,304"),
        ("code;name;vat\n" + "\n".join(f"{n};;" for n in range(100_001)), RATES, "data/countries.csv",
         "config/too-large", (100_002, 1), "100000 rows"),
    ],
)  # fmt: skip
def test_a_fault_of_a_table_is_placed_in_it_or_at_its_option(
    write: Write, countries: str, rates: str | None, file: str, code: str, place: tuple[int, int], says: str
) -> None:
    write("data/countries.csv", countries)
    if rates is not None:
        write("rates.json", rates)
    path = write("orders.yaml", TEXT)
    (problem,) = problems(path)
    assert (problem.code, problem.file) == (code, str(path.parent / file)), str(problem)
    assert problem.mark == place, str(problem)
    assert says in problem.reason


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("{file: ../a.csv, key: a}", "config/file-outside", ""),
        ("{file: /etc/passwd, key: a}", "config/file-outside", ""),
        ("{file: a.txt, key: a}", "config/invalid-value", "`.csv` or `.json`"),
        ("{file: a.csv}", "config/missing-key", "`key`"),
        ("{file: a.csv, key: a, delimiter: ä}", "config/invalid-value", "ASCII"),
        ("{file: a.json, key: a, numbers: [a]}", "config/invalid-value", "belongs to a table in CSV"),
        ("{file: b.csv, key: a}", "config/invalid-table", "not UTF-8 at byte 2"),
        ("{file: link.csv, key: a}", "config/file-outside", "leads outside"),
        ("{file: a.csv, kex: a}", "config/unknown-key", "`key`"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(write: Write, tmp_path: Path, table: str, code: str, says: str) -> None:
    (tmp_path / "outside.csv").write_text("a\n")
    path = write("in/orders.yaml", TEXT.partition("tables:")[0] + f"tables: {{t: {table}}}\nout: {{stdout: {{}}}}\n")
    for name, data in {"a.txt": b"a\n", "a.csv": b"a\n", "a.json": b"[]", "b.csv": b"a\n\xff\n"}.items():
        (path.parent / name).write_bytes(data)
    (path.parent / "link.csv").symlink_to(tmp_path / "outside.csv")
    (problem,) = problems(path)
    assert (problem.code, problem.mark is not None and problem.mark.line) == (code, 4), str(problem)
    assert says in problem.reason


def test_tables_that_are_not_there_are_named_in_expressions(write: Write) -> None:
    write("data/countries.csv", COUNTRIES)
    write("rates.json", RATES)
    (column,) = problems(write("orders.yaml", TEXT.replace("msg.code)", "msg.code).nmae", 1)))
    assert (column.code, column.mark) == ("config/invalid-expression", (9, 17))
    assert "`countries`, which has `code`, `name`, `vat`" in column.reason
    (table,) = problems(write("orders.yaml", TEXT.replace('"rates", msg', '"rate", msg')))
    assert (table.code, table.mark) == ("config/invalid-expression", (10, 14))
    assert "there is `countries`, `rates`" in table.reason


def test_the_tables_of_a_customer_have_a_bound_together(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(f"{name}/t.csv", "code\n" + "".join(f"{n}\n" for n in range(1_000)))
        customer = "other" if name == "b" else "acme"
        text = TEXT.partition("tables:")[0].replace("acme", customer).replace("orders", name)
        write(f"{name}/{name}.yaml", text + "tables: {t: {file: t.csv, key: code}}\nout: {stdout: {}}\n")
    loaded = config.load_all(tmp_path)
    monkeypatch.setattr(folder, "MAX_CUSTOMER_TABLE_BYTES", int(loaded[0].summary.table_bytes * 1.5))
    with pytest.raises(InvalidConfig) as caught:
        config.load_all(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.file) == ("config/too-large", str(tmp_path / "c" / "c.yaml"))
    assert "customer acme" in problem.reason
