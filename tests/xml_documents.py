"""Random XML documents: mostly well-formed, with everything that is easy to get wrong."""

from __future__ import annotations

import random

from hypothesis import strategies as st

NAMES = ["a", "b", "c", "item"] * 4 + [
    *["a:b", "x:y", "p:a", "xml", "xmlns", "xmlns:p", "é", "日本", "a1", "_", "a-b", "a.", "a·"],
    *[":a", "a:", "a:b:c", "-a", "1a", "𠀀", "xml:lang"],
]
BLANKS = [" ", "\n", "\t", "\r\n", "\r", "\u00a0", "\u2003", "\x85", "&#32;", "&#160;", "&#10;", "&#13;", "&#x2028;"]
TEXTS = [
    *["t", "hello", "é", "ü😀", "1.5", "0", "true", "{", "\\", '"', "'", ">", "]]", "a;b", "\u2028x", "\x7f"],
    *["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#65;", "&#x1F600;", "&#000065;", "&#38;"],
]
WRONG = [
    *["<", "&", "]]>", "&nbsp;", "&;", "&#;", "&#x;", "&#x0;", "&#xD800;", "&#xFFFE;", "&#x110000;", "&#X41;", "&#+5;"],
    *["\x01", "\x00", "\ufffe", "&#99999999999999999999;", "<a", "</a>", "<!", "<!DOCTYPE a>"],
]
DECLARATIONS = [
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="UTF-8"?>',
    "<?xml version='1.1' encoding='utf-8' standalone='yes'?>",
    '<?xml version = "2.x_-"  standalone="no" ?>',
    '<?xml version="1.0" encoding="US-ASCII"?>',
    '<?xml version="1.0" standalone="maybe"?>',
    '<?xml version="1.0" standalone="yes" encoding="UTF-8"?>',
    '<?xml version="1.0"encoding="UTF-8"?>',
    '<?xml version="1.0" version="1.0"?>',
    '<?xml encoding="UTF-8"?>',
    '<?xml version="1 0"?>',
    '<?xml version=""?>',
    '<?xml version="1.0" ? >',
    "<?xml?>",
    "<?xml-a?>",
    ' <?xml version="1.0"?>',
    '<?XML version="1.0"?>',
]
MARKUP = [
    *["<!---->", "<!-- c -->", "<!-- a-b -->", "<!-- <a> &x; -->", "<?p?>", "<?p x?>", "<?p ? x ??>", "<?é x?>"],
    *["<!--a--b-->", "<!--->", "<?xml?>", "<?XML x?>", "<?1?>", "<? x?>", "<?p:q x?>", "<?p!?>"],
]
CDATA = [
    "<![CDATA[]]>",
    "<![CDATA[ x ]]>",
    "<![CDATA[<&>]]>",
    "<![CDATA[]]]]>",
    "<![CDATA[a\r\nb]]>",
    "<![CDATA[\u00a0]]>",
]
URIS = ["u", "v", "", "http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"]


class Writer:
    """Writes a document, one choice at a time."""

    def __init__(self, choices: random.Random) -> None:
        self.choices = choices

    def often(self, common: list[str], rare: list[str], share: float = 0.01) -> str:
        return self.choices.choice(rare if self.choices.random() < share else common)

    def text(self) -> str:
        return "".join(
            self.choices.choice(BLANKS) if self.choices.random() < 0.4 else self.often(TEXTS, WRONG)
            for _ in range(self.choices.randrange(5))
        )

    def attribute(self) -> str:
        name, quote = self.choices.choice(NAMES), self.choices.choice("\"'")
        value = self.choices.choice(URIS) if name.startswith("xmlns") else self.text().replace(quote, "")
        equals = self.often(["="], [" = ", "\n=\t"], 0.2)
        return self.often([" ", "\n", "  ", "\t"], [""]) + name + equals + quote + value + quote

    def element(self, depth: int = 0) -> str:
        name = self.choices.choice(NAMES)
        start = name + "".join(self.attribute() for _ in range(self.choices.choice([0, 0, 0, 1, 2, 3])))
        start += self.often([""], [" ", "\n", " / "], 0.1)
        if self.choices.random() < 0.2:
            return f"<{start}/>"
        content = "".join(self.part(depth) for _ in range(self.choices.choice([0, 1, 1, 2, 3, 5])))
        end = name if self.choices.random() < 0.995 else self.choices.choice(NAMES)
        return f"<{start}>{content}</{end}{self.often(['', '', '', ' '], [' x'])}>"

    def part(self, depth: int) -> str:
        kind = self.choices.random()
        if kind < 0.35 and depth < 5:
            return self.element(depth + 1)
        if kind < 0.42:
            return self.choices.choice(CDATA)
        if kind < 0.5:
            return self.often(MARKUP[:8], MARKUP[8:], 0.1)
        return self.text()

    def around(self) -> str:
        wrong = ["x", "&#32;", "<a/>", *CDATA, *MARKUP[8:]]
        return "".join(self.often([*MARKUP[:8], " ", "\n", "\t"], wrong) for _ in range(self.choices.randrange(3)))

    def document(self) -> bytes:
        declaration = self.choices.choice(DECLARATIONS) if self.choices.random() < 0.3 else ""
        mark = "\ufeff" if self.choices.random() < 0.15 else ""
        return (mark + declaration + self.around() + self.element() + self.around()).encode()

    def spoiled(self, data: bytes) -> bytes:
        spoiled = bytearray(data)
        for _ in range(self.choices.randrange(1, 4)):
            at = self.choices.randrange(len(spoiled) + 1)
            piece = bytes(self.choices.choices(b"<>/&;=\"' \n\r?!-[]:aX\x00\x7f\xc3\xef\xbb", k=1))
            spoiled[at : at + self.choices.randrange(3)] = piece * self.choices.randrange(2)
        return bytes(spoiled)


writers = st.randoms(use_true_random=True).map(Writer)
# Twenty at a time: to draw a document is cheap, to draw an example is not.
documents = writers.map(lambda writer: [writer.document() for _ in range(20)])
spoiled = writers.map(lambda writer: [writer.spoiled(writer.document()) for _ in range(20)])
