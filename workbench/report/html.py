"""A report as one HTML file that needs nothing else: figures are SVG inside it, images data URIs."""

import re
from html import escape

from workbench.report.document import Block, Code, Document, Figure, Heading, Paragraph, Points, Table

STYLE = """
:root {color-scheme: light dark; --page: light-dark(#fff, #14171a); --ink: light-dark(#1c2024, #e8eaed);
  --grey: #7b838b; --line: light-dark(#d9dde1, #343a40);}
body {margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 66rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif;}
h1 {font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem;}
h2 {font-size: 1.25rem; margin: 3rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line);}
.small, figcaption, .note, caption {color: var(--grey); font-size: .85rem;}
ul {padding: 0; list-style: none;}
li {margin: .45rem 0; padding-left: 1.4rem; position: relative; color: var(--grey);}
li::before {content: "\\25CB"; position: absolute; left: 0;}
li.real {color: var(--ink);}
li.real::before {content: "\\25CF";}
.wide {overflow-x: auto; margin: 1rem 0 .4rem;}
table {border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums;}
caption {text-align: left; padding-bottom: .4rem;}
th, td {padding: .28rem .95rem .28rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line);}
th {font-weight: 600; border-bottom-color: var(--grey);}
.word {text-align: left;}
tr.grey td {color: var(--grey);}
figure {margin: 1.2rem 0;}
svg {display: block; width: 100%; height: auto;}
code, pre {font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;}
pre {overflow-x: auto; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: 6px;}
summary {cursor: pointer; color: var(--grey); margin: .3rem 0;}
@media print {body {max-width: none; padding: 0;} figure, table {break-inside: avoid;}
  .wide {overflow: visible;} table {font-size: .66rem;} th, td {padding-right: .5rem;}}
"""


def write(document: Document) -> str:
    """The document as HTML text."""
    title = escape(document.title)
    body = "\n".join(_block(block) for block in document.blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class="small">{escape(document.subtitle)}</p>\n'
        f"{body}\n</body>\n</html>\n"
    )


def _words(text: str) -> str:
    """Escaped text, with `code` between backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _class(name: str, applies: bool) -> str:
    return f' class="{name}"' if applies else ""


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text, small):
            return f"<p{_class('small', small)}>{_words(text)}</p>"
        case Points(items):
            lines = [f"<li{_class('real', strong)}>{_words(text)}</li>" for text, strong in items]
            return f"<ul>{''.join(lines)}</ul>"
        case Figure(drawing=drawing, caption=caption):
            return f"<figure>{drawing.svg()}<figcaption>{_words(caption)}</figcaption></figure>"
        case Code(text, title):
            code = f"<pre>{escape(text)}</pre>"
            return f"<details><summary>{escape(title)}</summary>{code}</details>" if title else code
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    def cells(tag: str, row: list[str] | tuple[str, ...]) -> str:
        kind = [_class("word", index < table.words) for index in range(len(row))]
        return "".join(f"<{tag}{k}>{escape(cell)}</{tag}>" for k, cell in zip(kind, row, strict=True))

    rows = [
        f"<tr{_class('grey', index in table.grey)}>{cells('td', list(row))}</tr>"
        for index, row in enumerate(table.rows)
    ]
    head = f"<caption>{escape(table.title)}</caption><thead><tr>{cells('th', list(table.headings))}</tr></thead>"
    note = f'<p class="note">{_words(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>{note}'
