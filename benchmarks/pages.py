"""How long people wait for pages and for the first line of a training, beside another build of the workbench.

    python -m benchmarks.pages --against FOLDER

FOLDER is a checkout of the other build. Both show the example runs of this one and take turns: a server is started
and a browser that has cached nothing opens Linear probe; then the curves are zoomed, and a tab is changed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks import turns

HERE = Path(__file__).resolve().parents[1]
PORT = 8611
LAUNCH = "import json, sys; from app.launch import command; print(json.dumps(command(int(sys.argv[1]), sys.argv[2])))"
CHART = ".js-plotly-plot .main-svg"
IDLE = ".stApp[data-test-script-state=notRunning]"
RANGES = "() => [...document.querySelectorAll('.js-plotly-plot')].map((plot) => String(plot._fullLayout?.xaxis?.range))"
MOVED = f"""(before) => {{
  const now = ({RANGES})();
  return now.length >= before.length && now.every((range, index) => range !== before[index]);
}}"""
Times = dict[str, float]


def environment(build: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(build)}


@contextmanager
def server(build: Path) -> Iterator[str]:
    """The address of a build's dashboard on the example runs, which is being started."""
    words = [sys.executable, "-c", LAUNCH, str(PORT), str(HERE / "examples" / "runs")]
    text = subprocess.run(words, cwd=build, env=environment(build), capture_output=True, text=True, check=True).stdout
    argv, variables = json.loads(text)
    options: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": build}
    process = subprocess.Popen(argv, env=variables, **options)
    try:
        yield f"http://127.0.0.1:{PORT}"
    finally:
        process.terminate()
        process.wait(20)


def reachable(address: str) -> None:
    """Wait until a server answers."""
    while True:
        try:
            urlopen(f"{address}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)


def first_view(page: Any, address: str, began: float) -> Times:
    """Seconds from the start of the server, and from the visit, until the first chart is drawn."""
    reachable(address)
    visited = time.perf_counter()
    page.goto(f"{address}/what-it-knows")
    page.locator(CHART).first.wait_for()
    now = time.perf_counter()
    return {"first chart after the server's start": now - began, "first chart after the visit": now - visited}


def tab_change(page: Any) -> Times:
    """Seconds from a click on the second tab until its chart is drawn."""
    page.wait_for_selector(IDLE)
    page.wait_for_timeout(1500)
    title = page.locator("h1").inner_text()
    began = time.perf_counter()
    page.get_by_role("tab").nth(1).click()
    page.wait_for_function("(title) => document.querySelector('h1')?.innerText !== title", arg=title)
    page.wait_for_function(f"() => [...document.querySelectorAll('{CHART}')].some((chart) => chart.checkVisibility())")
    page.wait_for_selector(IDLE)
    return {"change of a tab": time.perf_counter() - began}


def zoom(page: Any, address: str) -> Times:
    """Seconds from the end of a drag until all curves show that part of training."""
    page.goto(f"{address}/training")
    page.locator(CHART).first.wait_for()
    page.wait_for_selector(IDLE)
    page.wait_for_timeout(3000)
    before = page.evaluate(RANGES)
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.3 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + 0.8 * box["width"], y, steps=4)
    began = time.perf_counter()
    page.mouse.up()
    page.wait_for_function(MOVED, arg=before, polling=10)
    return {"zoom on Curves": time.perf_counter() - began}


def first_line(build: Path) -> Times:
    """Seconds until `train` prints its first line."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "workbench", "train", "mocov3", "--data", "digits", "--max-steps", "1", "--runs", folder]
        began = time.perf_counter()
        options: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": folder}
        process = subprocess.Popen([sys.executable, *words], env=environment(build), **options)
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.perf_counter() - began
        process.kill()
        process.wait()
    return {"first line of train": seconds}


def measure(build: Path) -> Times:
    """All times of a build."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        began = time.perf_counter()
        with server(build) as address:
            page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
            page.set_default_timeout(60_000)
            times = first_view(page, address, began) | tab_change(page) | zoom(page, address)
        browser.close()
    return times | first_line(build)


def report(rounds: list[tuple[Times, Times]]) -> None:
    print(f"{'median seconds':40} {'this build':>10} {'other':>8}   other / this")
    for name in rounds[0][0]:
        ours, theirs = ([pair[side][name] for pair in rounds] for side in (0, 1))
        ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:40} {statistics.median(ours):10.2f} {statistics.median(theirs):8.2f}   {spread}")


def main() -> None:
    parser = turns.parser(__doc__, rounds=5)
    parser.add_argument("--against", type=Path, required=True, metavar="FOLDER", help="checkout of the other build")
    options: argparse.Namespace = parser.parse_args()
    builds = HERE, options.against.resolve()
    for build in builds:  # compiles bytecode and fills the operating system's cache
        measure(build)
    report([(measure(builds[0]), measure(builds[1])) for _ in range(options.rounds)])


if __name__ == "__main__":
    main()
