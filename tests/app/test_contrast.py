"""Text can be read: its contrast with its ground, computed from the page, in both themes."""

from typing import Any

import pytest

from tests.app.app_fixture import Folder
from tests.app.browser import opened, settled

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
  const found = [];
  const figures = '.js-plotly-plot .xtick text, .js-plotly-plot .ytick text, .js-plotly-plot .g-xtitle text, '
    + '.js-plotly-plot .g-ytitle text, .js-plotly-plot .annotation text';
  const texts = `.wb-note, .wb-name, .wb-save button, .stMain p, .stMain h1, .stMain h3, ${figures}`;
  for (const node of document.querySelectorAll(texts)) {
    const box = node.getBoundingClientRect();
    if (!node.textContent.trim() || !box.width || node.closest('[disabled]')) continue;
    const style = getComputedStyle(node), colour = node.closest('svg') ? style.fill : style.color;
    const below = ground(node), text = over(rgba(colour), below);
    const [high, low] = [luminance(text), luminance(below)].sort((a, b) => b - a);
    const kind = node.className.baseVal ?? (node.className || node.tagName);
    found.push([kind, node.textContent.trim().slice(0, 40), (high + .05) / (low + .05)]);
  }
  return found;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_enough_contrast(file_browser: Any, runs_address: str, runs_folder: Folder, dark: bool) -> None:
    chosen = ",".join(f"{runs_folder[1][method]}:{at}" for at, method in enumerate(("mocov3", "vae", "ddpm")))
    page = opened(file_browser, f"{runs_address}/what-it-knows?runs={chosen}", 1280, dark)
    settled(page)
    page.locator(".js-plotly-plot .xtick text").first.wait_for()
    found = page.evaluate(CONTRASTS)
    assert sum("wb-note" in kind for kind, _, _ in found) >= 4 and len(found) > 60
    low = [(kind, words, round(contrast, 2)) for kind, words, contrast in found if contrast < LEAST]
    assert not low
    page.close()
