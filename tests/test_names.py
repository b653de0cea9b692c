"""Names are nouns of the field: no signature, attribute or module is called by a bare participle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTICIPLES = {"told", "said", "asked", "shown", "drawn", "kept", "found", "seen", "so", "one"}
FILES = sorted(path for folder in ("workbench", "app", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every function, class, argument, field and attribute that a module defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        if isinstance(node, ast.Module | ast.ClassDef):
            for field in node.body:
                targets = field.targets if isinstance(field, ast.Assign) else []
                targets += [field.target] if isinstance(field, ast.AnnAssign) else []
                yield from ((field.lineno, target.id) for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_is_a_bare_participle(path: Path) -> None:
    assert path.stem not in PARTICIPLES
    places = names(ast.parse(path.read_text()))
    found = [f"{line}: {name}" for line, name in places if name.strip("_").lower() in PARTICIPLES]
    assert not found, f"{path.relative_to(ROOT)} calls something by a participle: {', '.join(found)}"
