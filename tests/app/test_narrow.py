"""Every page with eight runs of long names: nothing leaves the page, and no name is cut."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from app.main import GROUPS, slug
from tests.app.browser import needs_chromium, opened, served, settled

pytestmark = needs_chromium
EXAMPLES = Path(__file__).parents[2] / "examples" / "runs"
KINDS = (
    "contrastive-vision-transformer-crops-0.2-to-1-jitter-0.4",
    "autoencoder-64-latent-variables-warm-up-10-epochs",
)
OVER = """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
  .map((node) => node.scrollWidth - node.clientWidth)"""
CUT = """() => {
  const cut = [];
  const texts = '.wb-verdict, .wb-note, .wb-name span, .wb-protocol summary, .wb-table :is(th, td), .wb-row, h1, h3';
  for (const node of document.querySelectorAll(texts)) {
    const style = getComputedStyle(node);
    if (style.overflowX !== 'visible' && node.scrollWidth > node.clientWidth + 1) cut.push(node.textContent);
    const box = node.getBoundingClientRect(), scroll = node.closest('.wb-sheet, [role=tablist]');
    if (!scroll && box.width && box.right > innerWidth + 1) cut.push(node.textContent);
  }
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const svg = plot.querySelector('.main-svg')?.getBoundingClientRect();
    if (!svg) continue;
    for (const text of plot.querySelectorAll('.ytick text, .annotation text, .xtitle, .ytitle, .gtitle')) {
      const box = text.getBoundingClientRect();
      if (box.width && (box.right > svg.right + 2 || box.left + 2 < svg.left)) cut.push(text.textContent);
    }
  }
  return cut;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples under names of sixty characters that differ only at their ends."""
    copy = shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("narrow") / "runs")
    for at, run in enumerate(sorted(copy.glob("2*"))):
        name = f"{KINDS[at % 2][:53]}-run-{at:02}".ljust(60, "x")
        for file in (run / "run.json", run / "summary.json"):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"name": name}))
    return copy


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [420, 1280, 1440, 1920])
def test_nothing_is_cut(browser: Any, address: str, folder: Path, width: int, dark: bool) -> None:
    chosen = ",".join(f"{run.name}:{at}" for at, run in enumerate(sorted(folder.glob("2*"))[:8]))
    page = opened(browser, f"{address}/?runs={chosen}", width, dark)
    problems = {}
    for group, (_, views) in GROUPS.items():
        for title in (module.TITLE for module in views):
            tab = f"&{slug(group)}-tab={quote(title)}" if len(views) > 1 else ""
            page.goto(f"{address}/{slug(group) if group != 'Overview' else ''}?runs={chosen}{tab}")
            settled(page)
            page.wait_for_timeout(800)
            if max(over := page.evaluate(OVER)) > 0:
                problems[title] = over
            if cut := page.evaluate(CUT):
                problems[title] = cut
    assert not problems
