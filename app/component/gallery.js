// One map enlarged, with the selected images and their classes at its right.

const BATCH = 120; // images that are added at once, while the gallery is scrolled
const GALLERY_SIDE = 64;

class Gallery {
  constructor(stage) {
    this.stage = stage;
    this.element = stage.part("gallery");
    this.tiles = this.element.querySelector(".tiles");
    this.tiles.onscroll = () => {
      if (this.tiles.scrollTop + this.tiles.clientHeight > this.tiles.scrollHeight - 200) this.more();
    };
    this.tiles.onclick = (event) => this.open(event.target.closest("button"));
  }

  // The selection as it is now; drawn only where a map is enlarged.
  update() {
    this.element.hidden = !this.stage.enlarged;
    if (this.element.hidden || this.flags === this.stage.flags && this.known === this.stage.labels && this.sheets === this.stage.told.tiles.sheets) return;
    const { flags, told, labels } = this.stage, top = this.flags === flags ? this.tiles.scrollTop : 0;
    [this.flags, this.known, this.sheets] = [flags, labels, told.tiles.sheets];
    this.rows = Array.from(flags.keys()).filter((row) => flags[row]);
    this.element.querySelector("h3").textContent = this.rows.length ?
      `${this.rows.length.toLocaleString("en")} image${this.rows.length === 1 ? "" : "s"} selected` : "Circle images on the map to see them here";
    this.count();
    const before = top ? this.tiles.childElementCount : 0;
    this.tiles.replaceChildren();
    do this.more(); while (before > this.tiles.childElementCount && this.rows.length > this.tiles.childElementCount);
    this.tiles.scrollTop = top;
  }

  // How many of the selected images each class has, the most first.
  count() {
    const { told, labels } = this.stage, counts = new Map();
    for (const row of this.rows) if (told.classes[labels?.[row]] !== undefined) counts.set(labels[row], (counts.get(labels[row]) ?? 0) + 1);
    const entries = [...counts].sort((a, b) => b[1] - a[1]), most = entries[0]?.[1];
    this.element.querySelector(".counts").replaceChildren(...entries.map(([label, count]) => {
      const line = document.createElement("li"), bar = document.createElement("i");
      bar.style.width = `${100 * count / most}%`;
      const held = document.createElement("span");
      held.append(bar);
      line.append(Object.assign(document.createElement("b"), { textContent: told.classes[label], title: told.classes[label] }), held, count.toLocaleString("en"));
      return line;
    }));
  }

  more() {
    const { stage } = this, start = this.tiles.childElementCount;
    this.tiles.append(...this.rows.slice(start, start + BATCH).map((row) => {
      const button = document.createElement("button");
      button.title = stage.caption(row);
      button.setAttribute("aria-label", `Enlarge ${button.title}`);
      button.append(stage.thumbnail(row, GALLERY_SIDE), Object.assign(document.createElement("small"), { textContent: stage.names?.[row] ?? stage.ids?.[row] ?? "" }));
      return button;
    }));
  }

  open(button) {
    if (!button || !window.workbenchLightbox) return;
    const items = this.rows.map((row) => ({ caption: this.stage.caption(row), source: () => this.cut(row) }));
    window.workbenchLightbox(items, [...this.tiles.children].indexOf(button));
  }

  // An image out of its sheet, as an address of its own.
  async cut(row) {
    const { side, columns, rows, sheets } = this.stage.told.tiles, place = row % (columns * rows);
    const url = sheets[Math.floor(row / (columns * rows))];
    if (!url) return this.stage.thumbnail(row, side) && ""; // which asks for the sheet
    const sheet = Object.assign(new Image(), { src: this.stage.address(url) });
    await sheet.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
    canvas.getContext("2d").drawImage(sheet, (place % columns) * side, Math.floor(place / columns) * side, side, side, 0, 0, side, side);
    return canvas.toDataURL();
  }
}
