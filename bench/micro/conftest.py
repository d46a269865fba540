"""The message that every stage is measured with: an order of 440 bytes, and one of 10 KB."""

from __future__ import annotations

import pytest


def order(items: int) -> bytes:
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<order id="A-1029384" currency="CHF">\n'
        "  <customer><id>778812</id><name>Müller &amp; Söhne AG</name>"
        "<email>einkauf@mueller.example</email></customer>\n"
        "  <country>CH</country><total>1234.50</total>\n  <items>\n"
    )
    lines = (
        f'    <item sku="SKU-{n:05}"><qty>{n % 9 + 1}</qty><price>{n % 97}.25</price><text>Part no {n}</text></item>\n'
        for n in range(items)
    )
    return (head + "".join(lines) + "  </items>\n</order>\n").encode()


@pytest.fixture(params=[2, 106], ids=["440B", "10KB"])
def xml(request: pytest.FixtureRequest) -> bytes:
    return order(request.param)
