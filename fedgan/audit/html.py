"""Text and tables as HTML, in which whatever comes from a file stays text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #ddd; }
td { overflow-wrap: anywhere; min-width: 3.2rem; } code, pre { font: .82rem/1.4 monospace; overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: .6rem; white-space: pre-wrap; } svg { width: 100%; font: 11px sans-serif; }
@page { size: A4; margin: 18mm; }
@media print { body { margin: 0; max-width: none; font-size: 10.5pt; } h2 { break-after: avoid; }
  tr, svg, pre { break-inside: avoid; } thead { display: table-header-group; } pre { background: none; } }
"""


def text(value: object) -> str:
    """Return `value` as text of a page: markup is escaped, and what cannot be seen is spelled out."""
    seen = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in str(value))
    return escape(seen, quote=True)


def code(value: object) -> str:
    """Return `value` as a piece of code."""
    return f"<code>{text(value)}</code>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; `columns` are plain text, the cells of `rows` are HTML."""
    head = "".join(f"<th>{text(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def listing(items: Iterable[str]) -> str:
    """Return a list of `items`, which are HTML."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def page(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Return a whole page that loads nothing and runs nothing; sections are (plain title, HTML)."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    parts = "".join(f"<section><h2>{text(name)}</h2>{content}</section>\n" for name, content in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{text(title)}</h1>\n{parts}</body></html>\n"
    )
