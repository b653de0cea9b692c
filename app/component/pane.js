// One map: what it shows, how it is zoomed, and what a hand does in it.

const MARGIN = 0.05; // of the pane, around the points
const RINGED = 10; // neighbours that are lit
const MOVE_MS = 420;
const CLICK_MS = 220; // after which a click is no half of a double click

class Pane {
  constructor(stage, index) {
    this.stage = stage;
    this.index = index;
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.element = document.createElement("section");
    this.element.innerHTML = `
      <header><i class="dot"></i><b></b><span class="name"></span><select aria-label="Space"></select>
        <button class="enlarge" aria-pressed="false">Enlarge</button></header>
      <div class="plot" tabindex="0" role="img"><canvas></canvas><canvas></canvas><div class="wait">loading the map</div></div>
      <footer></footer>`;
    this.plot = this.element.querySelector(".plot");
    const [below, above] = this.plot.querySelectorAll("canvas");
    this.raster = new Raster(below);
    this.overlay = above.getContext("2d");
    this.select = this.element.querySelector("select");
    this.select.onchange = () => this.showSpace(this.select.value);
    this.enlarge = this.element.querySelector(".enlarge");
    this.enlarge.onclick = () => this.stage.enlarge(this.stage.enlarged === this ? null : this);
    this.listen();
  }

  // Take over what the server says of this pane.
  update(told) {
    const former = this.told;
    this.told = told;
    this.element.querySelector(".dot").style.background = told.colour;
    this.element.querySelector("b").textContent = told.name;
    this.plot.setAttribute("aria-label", told.alt);
    const names = told.spaces.map((space) => space.name);
    if (String(former?.spaces.map((space) => space.name)) !== String(names)) {
      this.select.replaceChildren(...names.map((name) => new Option(name, name)));
      this.select.hidden = names.length < 2;
      this.element.querySelector(".name").textContent = names.length < 2 ? names[0] : "";
    }
    const kept = names.includes(this.spaceName) ? this.spaceName : names[0];
    this.select.value = kept;
    this.showSpace(kept);
  }

  get space() {
    return this.told.spaces.find((space) => space.name === this.spaceName);
  }

  async showSpace(name) {
    this.spaceName = name;
    const space = this.space;
    this.element.querySelector("footer").textContent = space.note ?? "";
    const load = (url) => (url ? this.stage.fetched(url) : null);
    const [points, codes, neighbours, ...frames] = await Promise.all([
      load(space.points), load(space.codes ?? this.stage.told.codes), load(space.neighbours),
      ...(space.frames ?? []).map((frame) => load(frame.points)),
    ]);
    if (this.space !== space || !points) return; // another space was asked for meanwhile
    this.codes = codes ? new Uint16Array(codes) : new Uint16Array(points.byteLength / 4);
    this.neighbours = neighbours ? new Uint32Array(neighbours) : null;
    this.frames = frames.map((buffer) => positions(buffer));
    this.plot.querySelector(".wait").hidden = true;
    if (this.shown !== space.points) {
      this.shown = space.points;
      this.moveTo(this.stage.frameOf(this, positions(points)));
    }
    this.dirty();
  }

  // Slide the points from where they are to where they belong.
  moveTo(target) {
    const start = this.points;
    this.final = target;
    if (!start || start.x.length !== target.x.length) {
      this.points = target;
      return this.dirty();
    }
    const began = performance.now();
    const step = (now) => {
      if (this.final !== target) return;
      const share = Math.min(1, Math.max(0, (now - began) / MOVE_MS));
      this.points = share < 1 ? between(start, target, 1 - (1 - share) ** 3) : target;
      this.dirty();
      if (share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  jumpTo(points) {
    this.points = this.final = points;
    this.dirty();
  }

  dirty() {
    this.stale = true;
    this.stage.schedule();
  }

  // Pixels per unit, and where the origin lies.
  frame() {
    const { width, height } = this.raster.image;
    const scale = Math.min(width, height) * (1 - 2 * MARGIN) * this.view.zoom;
    return { scale, left: width / 2 - this.view.x * scale, top: height / 2 - this.view.y * scale };
  }

  draw() {
    const box = this.plot.getBoundingClientRect();
    if (!box.width || !this.points) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    this.ratio = ratio;
    this.raster.resize(width, height);
    const { flags, count, order, ink, background } = this.stage;
    this.raster.clear(background);
    const n = this.points.x.length;
    const size = (n <= 800 ? 3.4 : n <= 3000 ? 2.7 : n <= 12000 ? 2.1 : 1.5) * Math.min(2, this.view.zoom ** 0.3);
    const radius = Math.round(size * ratio * 4) / 4;
    const shared = { ...this.points, order, codes: this.codes, ink, ...this.frame() };
    if (!count) this.raster.points({ ...shared, radius, opacity: n <= 3000 ? 225 : 190 });
    else {
      this.raster.points({ ...shared, radius, opacity: n <= 3000 ? 46 : 30, flags, wanted: 0 });
      this.raster.points({ ...shared, radius: Math.round(radius * 1.35 * 4) / 4, opacity: 250, flags, wanted: 1 });
    }
    this.raster.show();
    this.drawOverlay();
    this.stale = false;
  }

  // The lasso, the image under the pointer, and its neighbours.
  drawOverlay() {
    const { overlay, stage } = this;
    const canvas = overlay.canvas;
    if (canvas.width !== this.raster.canvas.width || canvas.height !== this.raster.canvas.height) {
      [canvas.width, canvas.height] = [this.raster.canvas.width, this.raster.canvas.height];
    }
    overlay.clearRect(0, 0, canvas.width, canvas.height);
    const { scale, left, top } = this.frame();
    const ring = (row, radius, colour, width) => {
      overlay.beginPath();
      overlay.arc(this.points.x[row] * scale + left, this.points.y[row] * scale + top, radius * this.ratio, 0, 7);
      overlay.lineWidth = (width + 2) * this.ratio;
      overlay.strokeStyle = stage.background;
      overlay.stroke();
      overlay.lineWidth = width * this.ratio;
      overlay.strokeStyle = colour;
      overlay.stroke();
    };
    if (stage.hover) {
      stage.hover.neighbours.forEach((row) => ring(row, 5, stage.accent, 1.6));
      ring(stage.hover.row, 8, stage.ink0, 2.2);
    }
    if (this.path?.length > 1) {
      overlay.beginPath();
      this.path.forEach(([x, y]) => overlay.lineTo(x * scale + left, y * scale + top));
      overlay.closePath();
      overlay.fillStyle = stage.accent + "26";
      overlay.fill();
      overlay.lineWidth = 1.5 * this.ratio;
      overlay.strokeStyle = stage.accent;
      overlay.stroke();
    }
  }

  // A pointer's place in the points' coordinates.
  place(event) {
    const box = this.plot.getBoundingClientRect(), { scale, left, top } = this.frame();
    return [
      ((event.clientX - box.left) * this.ratio - left) / scale,
      ((event.clientY - box.top) * this.ratio - top) / scale,
    ];
  }

  listen() {
    const plot = this.plot;
    plot.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      this.zoom(Math.exp(-event.deltaY * lines * 0.0016), this.points && this.place(event));
    }, { passive: false });
    plot.addEventListener("dblclick", () => { clearTimeout(this.click); this.reset(); });
    plot.addEventListener("contextmenu", (event) => this.drag && event.preventDefault());
    plot.addEventListener("pointerdown", (event) => this.press(event));
    plot.addEventListener("pointermove", (event) => (this.drag ? this.pull(event) : this.look(event)));
    plot.addEventListener("pointerup", (event) => this.release(event));
    plot.addEventListener("pointercancel", () => this.cancel());
    plot.addEventListener("pointerleave", () => this.drag || this.stage.hoverOver(null));
    plot.addEventListener("keydown", (event) => this.key(event));
  }

  zoom(factor, [x, y] = [this.view.x, this.view.y]) {
    const zoom = Math.min(400, Math.max(0.5, this.view.zoom * factor));
    const share = this.view.zoom / zoom;
    this.view = { x: x + (this.view.x - x) * share, y: y + (this.view.y - y) * share, zoom };
    this.dirty();
  }

  reset() {
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
    this.dirty();
  }

  press(event) {
    if (!this.points || event.button > 2) return;
    clearTimeout(this.click);
    const tool = event.button || event.altKey ? "pan" : this.stage.tool;
    this.drag = { tool, x: event.clientX, y: event.clientY, view: { ...this.view }, far: false, start: this.place(event) };
    try { this.plot.setPointerCapture(event.pointerId); } catch { /* an event made by a program has no pointer */ }
  }

  pull(event) {
    const { drag } = this, dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    if (!drag.far) this.stage.hoverOver(null);
    drag.far = true;
    if (drag.tool === "pan") {
      const { scale } = this.frame();
      this.view = { ...drag.view, x: drag.view.x - (dx * this.ratio) / scale, y: drag.view.y - (dy * this.ratio) / scale };
      return this.dirty();
    }
    const here = this.place(event), [x, y] = drag.start;
    this.path = drag.tool === "box" ? [[x, y], [here[0], y], here, [x, here[1]]] : [...(this.path ?? [[x, y]]), here];
    this.drawOverlay();
  }

  release(event) {
    const { drag, path } = this;
    this.cancel();
    if (!drag || drag.tool === "pan" && drag.far) return;
    const add = event.shiftKey || event.ctrlKey || event.metaKey;
    if (path) return this.stage.choose(inside(path, this.points.x, this.points.y), add);
    const row = this.under(event);
    if (row >= 0 && !event.button) this.click = setTimeout(() => this.stage.choose([row], add, true), CLICK_MS);
  }

  cancel() {
    this.drag = this.path = null;
    if (this.points && this.raster.image) this.drawOverlay();
  }

  under(event) {
    const { scale } = this.frame();
    return nearest(this.points.x, this.points.y, ...this.place(event), (12 * this.ratio) / scale);
  }

  look(event) {
    if (!this.points || !this.raster.image) return;
    const row = this.under(event);
    if (row < 0) return this.stage.hoverOver(null);
    this.stage.hoverOver({ row, pane: this, neighbours: this.near(row) }, event);
  }

  // The nearest neighbours in the model's features where evaluation has stored them, else on the map.
  near(row) {
    const width = this.neighbours ? this.neighbours.length / this.points.x.length : 0;
    if (!width) return neighboursOnMap(this.points.x, this.points.y, row, RINGED);
    const stored = this.neighbours.subarray(row * width, row * width + Math.min(RINGED, width));
    return Array.from(stored).filter((other) => other < this.points.x.length);
  }

  key(event) {
    const step = 0.08 / this.view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) {
      this.view = { ...this.view, x: this.view.x + moves[event.key][0], y: this.view.y + moves[event.key][1] };
      this.dirty();
    } else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
