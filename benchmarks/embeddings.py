"""Frame times of four maps of 50,000 images in a browser, and the time until a lasso is highlighted in all of them.

    python -m benchmarks.embeddings
    python -m benchmarks.embeddings --images 20000 --runs 3

Synthetic maps are written into a temporary folder, served by the app, and drawn by headless Chromium, in software
without a graphics card. Times between frames are the browser's own, taken while the mouse moves.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from app.launch import command
from benchmarks import turns
from workbench.files import write_array, write_json
from workbench.store import Run, create_run, probe_of

CLASSES = [f"class {index}" for index in range(10)]
FRAMES = """
() => {
  window.frames_ = [];
  window.watching = true;
  let last = performance.now();
  const step = (now) => {
    window.frames_.push(now - last);
    last = now;
    if (window.watching) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
"""
LIT = """
(count) => new Promise((done) => {
  const stage = [...document.querySelectorAll('*')].map((node) => node.shadowRoot).filter(Boolean)
    .map((root) => root.querySelector('.stage')).find(Boolean);
  const before = stage.dataset.lit;
  window.addEventListener('pointerup', () => {
    const began = performance.now();
    const look = () => stage.dataset.lit !== before ? done(performance.now() - began) : requestAnimationFrame(look);
    look();
  }, { once: true, capture: true });
})
"""


def invent(folder: Path, n: int, runs: int) -> list[Run]:
    """Runs with maps of ``n`` images of ten classes, and their probe set."""
    rng = np.random.default_rng(0)
    labels = np.sort(np.arange(n) % len(CLASSES))
    probe = probe_of(folder, "bench")
    images = np.repeat(rng.integers(0, 255, (n, 8, 8, 3), np.uint8), 4, axis=1).repeat(4, axis=2)
    content = {"fingerprint": "bench", "data": "bench", "classes": CLASSES, "factors": [], "n": n, "size": 32}
    write_json(probe.path / "probe.json", content | {"channels": 3})
    for name, array in {"images": images, "labels": labels, "ids": np.arange(n)}.items():
        write_array(probe.path / f"{name}.npy", array)
    created = []
    for seed in range(runs):
        data = {"name": "bench", "fingerprint": "bench", "size": 32, "channels": 3, "classes": CLASSES}
        info = {"method": "vae", "data": data, "seed": seed, "capabilities": [], "status": "finished"}
        run = create_run(folder, f"method: vae\nseed: {seed}\n", info)
        run.update_summary(status="finished")
        centres = rng.normal(size=(len(CLASSES), 2)) * 25
        run.write_array("tsne-space", (centres[labels] + rng.normal(size=(n, 2)) * 9).astype(np.float32))
        run.write_evaluation("projection", {"spaces": ["space"], "default": "space", "protocol": "invented", "n": n})
        created.append(run)
    return created


class Watch:
    """A page's time between frames, and the processor time of its main thread."""

    def __init__(self, page: Any) -> None:
        self.page, self.session = page, page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script_ms(self) -> float:
        metrics = {metric["name"]: metric["value"] for metric in self.session.send("Performance.getMetrics")["metrics"]}
        return 1000 * metrics["TaskDuration"]

    def frames_during(self, act: Callable[[], None]) -> tuple[list[float], list[float]]:
        """Milliseconds between frames during an action, and processor time of the main thread per frame."""
        self.page.evaluate(FRAMES)
        before = self.script_ms()
        act()
        spent = self.script_ms() - before
        self.page.evaluate("() => { window.watching = false; }")
        frames = self.page.evaluate("() => window.frames_")[2:]
        return frames, [spent / max(len(frames), 1)]


def measure(address: str, runs: list[Run], chromium: str, rounds: int) -> dict[str, list[float]]:
    """Times in milliseconds by action."""
    from playwright.sync_api import sync_playwright

    times: dict[str, list[float]] = {
        name: []
        for name in ("first view", "pan", "pan, processor", "zoom", "zoom, processor", "lasso", "lasso, on all pages")
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(300_000)
        watch, received = Watch(page), []
        page.on("response", lambda answer: received.append(int(answer.headers.get("content-length", 0))))
        chosen = ",".join(f"{run.id}:{index}" for index, run in enumerate(runs))
        began = time.perf_counter()
        page.goto(f"{address}/how-it-sees?how-it-sees-tab=Embeddings&runs={chosen}")
        page.locator(".stage[data-lit]").wait_for(timeout=600_000)
        page.wait_for_function(
            "() => [...document.querySelectorAll('*')].map((n) => n.shadowRoot).filter(Boolean)"
            ".every((r) => [...r.querySelectorAll('.wait')].every((w) => w.hidden))",
            timeout=600_000,
        )
        times["first view"].append(1000 * (time.perf_counter() - began))
        print(f"files: {sum(received) / 1e6:.2f} MB, the app itself among them")
        page.wait_for_timeout(2000)
        box = page.locator(".plot").first.bounding_box()
        assert box is not None
        x, y, side = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]

        def pan() -> None:
            page.mouse.move(x, y)
            page.mouse.down(button="right")
            for turn in range(60):
                page.mouse.move(x + side * 0.2 * np.sin(turn / 6), y + side * 0.2 * np.cos(turn / 6))
            page.mouse.up(button="right")

        def zoom() -> None:
            page.mouse.move(x, y)
            for turn in range(40):
                page.mouse.wheel(0, -60 if turn < 20 else 60)
                page.wait_for_timeout(16)

        for turn in range(rounds):
            for name, act in (("pan", pan), ("zoom", zoom)):
                frames, spent = watch.frames_during(act)
                times[name] += frames
                times[f"{name}, processor"] += spent
            page.mouse.dblclick(box["x"] + 4, box["y"] + 4)
            waiting = "window.lit_ = (" + LIT + ")()"
            page.evaluate("() => { " + waiting + "; }")
            radius = side * (0.12 + 0.02 * turn)
            page.mouse.move(x + radius, y)
            page.mouse.down()
            for part in range(1, 41):
                angle = 2 * np.pi * part / 40
                page.mouse.move(x + radius * np.cos(angle), y + radius * np.sin(angle))
            page.mouse.up()
            began = time.perf_counter()
            times["lasso"].append(page.evaluate("() => window.lit_"))
            count = page.evaluate(
                "() => [...document.querySelectorAll('*')].map((n) => n.shadowRoot).filter(Boolean)"
                ".map((r) => r.querySelector('.stage')).find(Boolean).dataset.lit"
            )
            page.get_by_role("button", name=f"{int(count):,} images selected").wait_for(timeout=60_000)
            times["lasso, on all pages"].append(1000 * (time.perf_counter() - began))
            page.wait_for_timeout(500)
        browser.close()
    return times


def main() -> None:
    chromium = "/usr/bin/chromium"
    options = turns.parser(__doc__, images=50_000, runs=4, rounds=3, port=8614, chromium=chromium).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = invent(Path(folder), options.images, options.runs)
        argv, environment = command(options.port, folder)
        server = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{options.port}"
        try:
            for _ in range(120):
                try:
                    urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.5)
            measured = measure(address, runs, options.chromium, options.rounds)
        finally:
            server.terminate()
            server.wait(20)
    for name, times in measured.items():
        middle, high = np.percentile(times, [50, 95])
        print(f"{name:22} median {middle:7.1f} ms, 95 % under {high:7.1f} ms, of {len(times)}")


if __name__ == "__main__":
    main()
