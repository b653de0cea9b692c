"""Text for LaTeX, in which nothing is taken for a command."""

import unicodedata

SPECIAL = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    **{"²": r"\textsuperscript{2}", "·": r"\textperiodcentered{}", "…": r"\dots{}", "\N{NO-BREAK SPACE}": "~"},
    **{"\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "\N{EM DASH}": "---", "\N{MULTIPLICATION SIGN}": r"$\times$"},
    **{"→": r"$\to$", "≤": r"$\leq$", "≥": r"$\geq$"},
}


def escape(text: str) -> str:
    """Text as LaTeX prints it; letters that pdflatex lacks lose their accents, or become ``?``."""
    return "".join(SPECIAL.get(character) or _plain(character) for character in " ".join(text.split("\n")))


def _plain(character: str) -> str:
    if ord(character) < 0x180:  # T1 has Latin letters with accents
        return character if character.isprintable() else " "
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in base) or "?"
