"""A report as LaTeX: a document that compiles by itself, with booktabs tables to be taken over.

Figures are left out; the text may hold any character.
"""

import unicodedata

from workbench.report.document import Block, Code, Document, Heading, Paragraph, Points, Table

SPECIAL = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    **{
        "²": r"\textsuperscript{2}",
        "·": r"\textperiodcentered{}",
        "\N{MULTIPLICATION SIGN}": r"$\times$",
        "…": r"\dots{}",
        "→": r"$\to$",
    },
    **{"\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "\N{EM DASH}": "---", "≤": r"$\leq$", "≥": r"$\geq$"},
    "\N{NO-BREAK SPACE}": "~",
}
HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=2.2cm]{geometry}
\usepackage{booktabs,float,graphicx}
\setlength{\emergencystretch}{3em}
\begin{document}
"""


def write(document: Document) -> str:
    """The document as LaTeX text."""
    head = f"\\title{{{escape(document.title)}}}\n\\author{{}}\n\\date{{{escape(document.subtitle)}}}\n\\maketitle\n"
    parts = [text for block in document.blocks if (text := _block(block))]
    return HEAD + head + "\n" + "\n\n".join(parts) + "\n\n\\end{document}\n"


def escape(text: str) -> str:
    """Text in which nothing is taken for a command; letters that pdflatex lacks lose their accents, or become ``?``."""
    return "".join(SPECIAL.get(character) or _plain(character) for character in " ".join(text.split("\n")))


def _plain(character: str) -> str:
    if ord(character) < 0x180:  # T1 has Latin letters with accents
        return character if character.isprintable() else " "
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in base) or "?"


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"\\section*{{{escape(text)}}}"
        case Paragraph(text, small):
            return f"{{\\small {escape(text)}}}" if small else escape(text)
        case Points(items):
            lines = ["  \\item " + (f"\\textbf{{{escape(t)}}}" if strong else escape(t)) for t, strong in items]
            return "\\begin{itemize}\n" + "\n".join(lines) + "\n\\end{itemize}"
        case Code(text, title):
            lines = [f"\\texttt{{{escape(line)}}}\\\\" for line in text.splitlines() if line]
            head = f"\\paragraph{{{escape(title)}}}~\\\\\n" if title else "\\noindent\n"
            return f"{{\\footnotesize\\raggedright\n{head}" + "\n".join(lines) + "\n\\par}"
        case Table():
            return _table(block)
    return ""


def _table(table: Table) -> str:
    """As wide as it needs, at most as wide as the page."""
    columns = "".join("l" if index < table.words else "r" for index in range(len(table.headings)))
    # An empty group in front: \\ of the row above would take a bracket or a star for its own.
    lines = [
        ("{}" if cells[0].startswith(("[", "*")) else "") + " & ".join(escape(cell) for cell in cells) + r" \\"
        for cells in (table.headings, *table.rows)
    ]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    note = f"\n\n\\medskip\n\\parbox{{\\linewidth}}{{\\footnotesize {escape(table.note)}}}" if table.note else ""
    return (
        f"\\begin{{table}}[H]\n\\centering\n\\caption{{{escape(table.title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}}}{note}\n\\end{{table}}"
    )
