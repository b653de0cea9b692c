"""Text can be read: its contrast with its ground, computed from the page, in both themes."""

from typing import Any

import pytest

from tests.app.app_fixture import THREE, Folder
from tests.app.browser import opened, settled

PAGES = ("overview", "runs", "training", "what-it-knows", "how-it-sees", "what-it-draws", "report")
LEAST = 4.5  # of WCAG 2.2, 1.4.3
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, ground) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * ground[i]);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const inked = [];
  const skipped = '[disabled], [data-testid=stSliderThumbValue], .heatmaplayer, .hm, ' +
    '.barlayer, [aria-hidden=true], .modebar';
  const visible = (node) => {
    const box = node.getBoundingClientRect(), look = getComputedStyle(node);
    return box.width && box.height && look.visibility != 'hidden' && look.opacity > 0 && !node.closest(skipped);
  };
  const words = document.createTreeWalker(document.querySelector('.stApp'), NodeFilter.SHOW_TEXT);
  for (let text = words.nextNode(); text; text = words.nextNode()) {
    const node = text.parentElement, shown = text.textContent.trim();
    if (!shown || '●▼▲✕◆✚'.includes(shown) || !node.closest('.stMain, header') || !visible(node)) continue;
    const svg = node instanceof SVGElement, look = getComputedStyle(node), below = ground(node);
    const colour = rgba(svg ? look.fill : look.color);
    for (let at = node; at; at = at.parentElement) colour[3] *= Number(getComputedStyle(at).opacity);
    if (!colour[3]) continue;
    const [high, low] = [luminance(over(colour, below)), luminance(below)].sort((a, b) => b - a);
    inked.push([`${svg ? 'svg ' : ''}${node.className.baseVal ?? node.className}`, shown.slice(0, 40),
      (high + .05) / (low + .05)]);
  }
  return inked;
}"""
FORGIVEN = ("material", "dvn-")
"""Icons, and the canvas of tables, whose text is not in the page."""


def lacking(page: Any) -> list[tuple[str, str, float]]:
    """Texts of a page that are too faint."""
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 20
    return [
        (kind, words, round(contrast, 2))
        for kind, words, contrast in texts
        if contrast < LEAST and not any(name in kind for name in FORGIVEN)
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_enough_contrast(file_browser: Any, runs_address: str, runs_folder: Folder, dark: bool) -> None:
    page = opened(file_browser, f"{runs_address}/what-it-knows?runs={chosen(runs_folder)}", 1280, dark)
    settled(page)
    page.locator(".js-plotly-plot .xtick").first.wait_for()
    assert not lacking(page)
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_of_every_page(
    file_browser: Any, runs_address: str, runs_folder: Folder, name: str, dark: bool
) -> None:
    page = opened(file_browser, f"{runs_address}/{name}?runs={chosen(runs_folder)}", 1280, dark)
    settled(page)
    tabs = page.get_by_role("tab").all_inner_texts() or [""]
    for tab in tabs:
        if tab:
            page.get_by_role("tab", name=tab, exact=True).click()
        settled(page)
        assert not lacking(page), tab
    page.close()


def chosen(folder: Folder) -> str:
    return ",".join(folder[1][method] for method in THREE)
