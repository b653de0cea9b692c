// All maps on one stage: the same images, one selection, one pointer. The server hears of the selection afterwards.

const GRACE_MS = 3000; // how long an answer may take before the server's selection counts again
const SYMBOLS = { circle: "\u25cf", diamond: "\u25c6", cross: "\u271a" };
const STRIP = 6; // neighbours whose images are shown
const FILES = new Map(); // by address, which changes with the content

class Stage {
  constructor(root, send) {
    Object.assign(this, { root, send, panes: [], flags: new Uint8Array(0), count: 0, hover: null, tool: "lasso" });
    this.part = (name) => root.querySelector(`.${name}`);
    this.tooltip = this.part("tooltip");
    this.slider = this.part("slider");
    this.enlarged = null;
    this.gallery = new Gallery(this);
    this.listeners();
  }

  listeners() {
    this.escape = (event) => {
      const typing = event.composedPath().some((node) => /^(INPUT|TEXTAREA)$/.test(node.tagName) && node.type !== "range");
      if (event.key !== "Escape" || typing) return;
      const lasso = this.panes.find((pane) => pane.path);
      if (lasso) lasso.cancel();
      else if (this.enlarged) this.enlarge(null);
      else if (this.count) this.choose([], false);
    };
    window.addEventListener("keydown", this.escape);
    this.sizes = new ResizeObserver(() => this.dirty());
    this.sizes.observe(this.root);
    this.root.querySelectorAll("[data-tool]").forEach((button) => {
      button.onclick = () => this.take(button.dataset.tool);
    });
    this.root.querySelectorAll("[data-save]").forEach((button) => {
      button.onclick = () => keep(this, button.dataset.save);
    });
    this.part("home").onclick = () => this.panes.forEach((pane) => pane.reset());
    this.slider.oninput = () => { this.stop(); this.seek(Number(this.slider.value)); };
    this.part("play").onclick = () => (this.playing ? this.stop() : this.play());
    this.take(this.tool);
  }

  take(tool) {
    this.tool = tool;
    this.root.dataset.tool = tool;
    this.root.querySelectorAll("[data-tool]").forEach((button) => {
      button.setAttribute("aria-pressed", button.dataset.tool === tool);
    });
  }

  // One map large, with the selected images beside it; none: all maps side by side.
  enlarge(pane) {
    const former = this.enlarged;
    this.enlarged = pane;
    this.root.toggleAttribute("data-enlarged", Boolean(pane));
    this.panes.forEach((other) => {
      other.element.classList.toggle("large", other === pane);
      other.enlarge.textContent = other === pane ? "Back to all maps" : "Enlarge";
      other.enlarge.title = other === pane ? "Show all maps again (Escape)" : "Show this map large, with the selected images";
      other.enlarge.setAttribute("aria-pressed", other === pane);
    });
    this.hoverOver(null);
    this.dirty();
    (pane ?? former)?.enlarge.focus({ preventScroll: true });
    if (pane) this.part("maps").scrollIntoView({ block: "nearest" });
  }

  leave() {
    this.stop();
    window.removeEventListener("keydown", this.escape);
    this.sizes.disconnect();
    this.gone = true;
  }

  // A file of the server as an ArrayBuffer, fetched once.
  async fetched(url) {
    if (!FILES.has(url)) {
      const found = fetch(this.address(url)).then((answer) => {
        if (!answer.ok) throw new Error(`${answer.status} of ${url}`);
        return answer.arrayBuffer();
      });
      FILES.set(url, found.catch((error) => this.failed(url, error)));
    }
    return FILES.get(url);
  }

  failed(url, error) {
    FILES.delete(url);
    this.part("problem").textContent = `A map could not be loaded (${error.message}); reload the page.`;
    return null;
  }

  // The app may live under a path of its own, from which its scripts come, too.
  address(url) {
    const script = document.querySelector('script[src*="static/js/"]');
    return script ? new URL(`../../${url.replace(/^\//, "")}`, script.src).href : url;
  }

  // Take over what the server says: on mount, and whenever anything has changed.
  async update(told) {
    const former = this.told;
    this.told = told;
    this.theme();
    this.ink = inks(told.palette);
    const same = former?.n === told.n && former.common === told.common;
    if (!same) [this.flags, this.order, this.sent] = [new Uint8Array(told.n), shuffled(told.n), undefined];
    this.hearSelection(same ? former.selected : undefined);
    if (this.panes.indexOf(this.enlarged) >= told.panes.length) this.enlarge(null);
    while (this.panes.length > told.panes.length) this.panes.pop().element.remove();
    while (this.panes.length < told.panes.length) {
      this.panes.push(new Pane(this, this.panes.length));
      this.part("panes").append(this.panes.at(-1).element);
    }
    this.part("panes").style.setProperty("--columns", told.columns);
    this.panes.forEach((pane, index) => pane.update(told.panes[index]));
    this.legend();
    this.frames();
    const common = await this.fetched(told.common);
    if (common && told === this.told) {
      this.ids = new BigInt64Array(common, 0, told.n);
      this.labels = new Uint16Array(common, 8 * told.n, told.n);
      const names = told.names ? new TextDecoder().decode(await this.fetched(told.names) ?? new ArrayBuffer(0)) : "";
      this.names = names ? names.split("\0") : null;
      this.values = told.values ? new Float32Array(await this.fetched(told.values) ?? new ArrayBuffer(0)) : null;
    }
    if (this.hover?.row < told.n && this.hover.pane.codes) this.describe(this.hover); // its image may have come
    this.dirty();
  }

  theme() {
    const style = getComputedStyle(this.root);
    const colour = (name, otherwise) => {
      const found = style.getPropertyValue(name).trim();
      return /^#[0-9a-f]{6}$/i.test(found) ? found : otherwise;
    };
    this.background = colour("--st-background-color", "#ffffff");
    this.ink0 = colour("--st-text-color", "#1c2024");
    this.accent = colour("--st-primary-color", "#0072B2");
  }

  // The server's selection, unless it has not heard of the newest one yet.
  hearSelection(former) {
    const { selected } = this.told;
    if (this.sent !== undefined && selected !== this.sent && performance.now() - this.sentAt < GRACE_MS) return;
    if (selected === this.sent) this.sent = undefined;
    else if (selected === former) return;
    this.light(fromBits(selected, this.told.n));
  }

  // Select rows: at once in every pane, then at the server.
  choose(rows, add, toggle) {
    const flags = add ? this.flags.slice() : new Uint8Array(this.flags.length);
    if (add && toggle) rows.forEach((row) => { flags[row] ^= 1; });
    else rows.forEach((row) => { flags[row] = 1; });
    this.light(flags);
    this.sent = toBits(flags);
    this.sentAt = performance.now();
    this.send("selected", this.sent);
  }

  light(flags) {
    this.flags = flags;
    this.count = flags.reduce((sum, flag) => sum + flag, 0);
    this.dirty();
  }

  dirty() {
    this.panes.forEach((pane) => { pane.stale = true; });
    this.schedule();
  }

  schedule() {
    if (this.planned || this.gone) return;
    this.planned = requestAnimationFrame(() => {
      this.planned = 0;
      this.panes.forEach((pane) => pane.stale && pane.draw());
      this.gallery.update();
      this.root.dataset.lit = this.count; // for tests: what is on the screen
    });
  }

  hoverOver(found, event) {
    if (!found && !this.hover) return;
    if (found?.row !== this.hover?.row || found?.pane !== this.hover?.pane) {
      this.hover = found;
      this.panes.forEach((pane) => pane.points && pane.raster.image && pane.drawOverlay());
      if (found) this.describe(found);
    }
    this.tooltip.hidden = !found;
    if (!found) return;
    const box = this.root.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const left = x + 18 + this.tooltip.offsetWidth > box.width ? x - 18 - this.tooltip.offsetWidth : x + 18;
    this.tooltip.style.transform = `translate(${Math.max(0, left)}px, ${Math.min(y + 12, box.height - this.tooltip.offsetHeight)}px)`;
  }

  // What an image is called, and with its class.
  title(row) {
    return this.names?.[row] ?? (this.ids ? `image ${this.ids[row]}` : "");
  }

  caption(row) {
    return [this.told.classes[this.labels?.[row]], this.title(row)].filter(Boolean).join(" · ");
  }

  describe({ row, pane, neighbours }) {
    const { told } = this;
    const lines = [told.classes[this.labels?.[row]] ?? "", this.title(row)];
    if (this.values?.length) lines.push(`${told.by} ${Number(this.values[row].toPrecision(3))}`);
    else if (told.by !== "label" && told.palette[pane.codes[row]]?.name) lines.push(`${told.by}: ${told.palette[pane.codes[row]].name}`);
    const [title, ...rest] = lines.filter(Boolean);
    const text = document.createElement("div");
    text.append(Object.assign(document.createElement("b"), { textContent: title ?? "" }));
    rest.forEach((line) => text.append(Object.assign(document.createElement("span"), { textContent: line })));
    const strip = Object.assign(document.createElement("div"), { className: "strip" });
    strip.append(...neighbours.slice(0, STRIP).map((other) => {
      const image = this.thumbnail(other, 34);
      if (this.labels && told.classes.length) image.classList.add(this.labels[other] === this.labels[row] ? "same" : "other");
      return image;
    }));
    const caption = Object.assign(document.createElement("small"), {
      textContent: pane.neighbours ? "nearest in feature space" : "nearest on this map",
    });
    this.tooltip.replaceChildren(this.thumbnail(row, 96), text, strip, caption);
  }

  // An image out of its sheet of tiles; a sheet that has not come yet is asked for.
  thumbnail(row, side) {
    const { side: tile, columns, rows, sheets } = this.told.tiles;
    const place = row % (columns * rows), sheet = Math.floor(row / (columns * rows)), url = sheets[sheet];
    const image = Object.assign(document.createElement("i"), { className: "thumbnail" });
    image.style.cssText = `width:${side}px;height:${side}px`;
    if (url) {
      const x = (place % columns) * side, y = Math.floor(place / columns) * side;
      image.style.background = `url("${this.address(url)}") -${x}px -${y}px / ${columns * side}px auto`;
      if (side >= tile) image.style.imageRendering = "pixelated";
    } else if (this.told.tiles.many && !this.asked?.has(sheet)) {
      (this.asked ??= new Set()).add(sheet);
      this.send("sheet", sheet);
    }
    return image;
  }

  legend() {
    const { told } = this, legend = this.part("legend");
    if (!told) return;
    if (told.ramp) {
      const [low, high] = told.ramp.ends;
      const bar = document.createElement("i");
      bar.style.background = `linear-gradient(90deg, ${told.ramp.colours.join(", ")})`;
      return legend.replaceChildren(told.by, ` ${low}`, bar, high);
    }
    legend.replaceChildren(...told.palette.flatMap((entry, code) => {
      if (!entry.name || !entry.shown) return [];
      const button = document.createElement("button");
      const sign = Object.assign(document.createElement("span"), { textContent: SYMBOLS[entry.symbol ?? "circle"] });
      sign.style.color = entry.colour;
      button.append(sign, ` ${entry.name}`);
      button.title = told.shared ? "Select these images; Shift adds to the selection" : "";
      if (told.shared) button.onclick = (event) => this.chooseCode(code, event.shiftKey || event.ctrlKey || event.metaKey);
      else button.disabled = true;
      return [button];
    }));
  }

  chooseCode(code, add) {
    const rows = [];
    this.panes[0]?.codes?.forEach((other, row) => { if (other === code) rows.push(row); });
    this.choose(rows, add);
  }

  // The slider through training, where a pane has maps of several steps.
  frames() {
    const any = this.told.panes.some((pane) => pane.spaces.some((space) => space.frames?.length > 1));
    this.part("training").hidden = !any;
    if (!any) this.slider.value = 1;
    this.when();
  }

  // A pane's points at the slider's place, between the two maps around it.
  frameOf(pane, last) {
    const told = pane.space.frames ?? [], share = Number(this.slider.value);
    if (told.length < 2 || pane.frames.length !== told.length || share >= 1) return last;
    const after = Math.max(1, told.findIndex((frame) => frame.share >= share));
    const [a, b] = [told[after - 1], told[after]];
    return between(pane.frames[after - 1], pane.frames[after], Math.min(1, Math.max(0, (share - a.share) / (b.share - a.share))));
  }

  seek(share) {
    this.slider.value = share;
    this.panes.forEach((pane) => {
      if (pane.space.frames?.length > 1 && pane.frames?.length) pane.jumpTo(this.frameOf(pane, pane.frames.at(-1)));
    });
    this.when();
  }

  when() {
    this.part("when").textContent = `${Math.round(100 * Number(this.slider.value))} % of training`;
  }

  play() {
    const start = Number(this.slider.value) >= 1 ? 0 : Number(this.slider.value), began = performance.now();
    this.part("play").textContent = "\u275a\u275a";
    const step = (now) => {
      const share = Math.min(1, start + Math.max(0, now - began) / 5000);
      this.seek(share);
      if (share >= 1) return this.stop();
      this.playing = requestAnimationFrame(step);
    };
    this.playing = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.part("play").textContent = "\u25b6";
  }
}

const STAGES = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".stage");
  let stage = STAGES.get(root);
  if (!stage) {
    stage = new Stage(root, setTriggerValue);
    STAGES.set(root, stage);
  }
  stage.send = setTriggerValue;
  stage.update(data);
  return () => stage.leave();
}
