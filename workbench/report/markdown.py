"""A report as Markdown, as GitHub reads it; figures are left out."""

import re

from workbench.report.document import Block, Code, Document, Heading, Paragraph, Points, Table


def write(document: Document) -> str:
    """The document as Markdown text."""
    parts = [f"# {escape(document.title)}", f"*{escape(document.subtitle)}*"]
    parts += [text for block in document.blocks if (text := _block(block))]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text in which nothing is taken for markup; ``code`` between backticks stays."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_\[\]<>|#])", r"\\\1", part) for part in parts
    ).replace("\n", " ")


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {escape(text)}"
        case Paragraph(text):
            return escape(text)
        case Points(items):
            return "\n".join(f"- {f'**{escape(text)}**' if strong else escape(text)}" for text, strong in items)
        case Code(text, title):
            fence = f"```\n{text}\n```"
            return f"<details><summary>{escape(title)}</summary>\n\n{fence}\n\n</details>" if title else fence
        case Table():
            return _table(block)
    return ""


def _table(table: Table) -> str:
    rule = [":--" if index < table.words else "--:" for index in range(len(table.headings))]
    rows = [[escape(cell) or " " for cell in cells] for cells in (table.headings, *table.rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])]
    note = f"\n\n{escape(table.note)}" if table.note else ""
    return f"**{escape(table.title)}**\n\n" + "\n".join(lines) + note
