// Points stamped into a pixel buffer: fifty thousand take a few milliseconds, with or without a GPU.

const PHASES = 4; // positions of a stamp within a pixel, per axis, so that slow movements do not jump
const CLEAR = 256; // an alpha of one

// Signed distance from a symbol's edge in pixels, negative inside; the symbols cover about the same area.
const EDGES = {
  circle: (x, y, r) => Math.hypot(x, y) - r,
  diamond: (x, y, r) => (Math.abs(x) + Math.abs(y) - 1.32 * r) / Math.SQRT2,
  cross: (x, y, r) => {
    const [a, b] = [Math.abs(x), Math.abs(y)];
    return Math.min(Math.max(a - 1.2 * r, b - 0.42 * r), Math.max(a - 0.42 * r, b - 1.2 * r));
  },
};

// The pixels that a symbol covers at each phase: their offsets in a buffer of this width, and their alphas.
function stampsOf(symbol, radius, width) {
  const reach = Math.ceil(1.32 * radius + 1);
  const stamps = [];
  for (let phase = 0; phase < PHASES * PHASES; phase++) {
    const fx = ((phase % PHASES) + 0.5) / PHASES;
    const fy = (Math.floor(phase / PHASES) + 0.5) / PHASES;
    const offsets = [], alphas = [];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        const cover = 0.5 - EDGES[symbol](dx + 0.5 - fx, dy + 0.5 - fy, radius);
        if (cover > 0.02) {
          offsets.push(dy * width + dx);
          alphas.push(Math.round(CLEAR * Math.min(1, cover)));
        }
      }
    }
    stamps.push({ offsets: Int32Array.from(offsets), alphas: Int32Array.from(alphas) });
  }
  return { stamps, reach };
}

// "#rrggbb" as the little-endian ABGR of ImageData.
function packed(hex) {
  const value = parseInt(hex.slice(1), 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

// Colours and symbols by code, ready for the loop over points.
function inks(palette) {
  return {
    colours: Uint32Array.from(palette.map((entry) => packed(entry.colour))),
    symbols: palette.map((entry) => entry.symbol ?? "circle"),
  };
}

class Raster {
  constructor(canvas) {
    this.context = canvas.getContext("2d", { alpha: false });
    this.canvas = canvas;
    this.cache = new Map();
  }

  resize(width, height) {
    if (this.image && this.image.width === width && this.image.height === height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.cache.clear();
  }

  clear(colour) {
    this.pixels.fill(packed(colour));
  }

  show() {
    this.context.putImageData(this.image, 0, 0);
  }

  stamps(symbol, radius) {
    const key = `${symbol} ${radius}`;
    if (!this.cache.has(key)) this.cache.set(key, stampsOf(symbol, radius, this.image.width));
    return this.cache.get(key);
  }

  // Points in the order given, those alone whose flag equals `wanted` where there are flags.
  points({ x, y, order, codes, ink, scale, left, top, radius, opacity, flags, wanted }) {
    const { width, height } = this.image;
    const sets = ink.symbols.map((symbol) => this.stamps(symbol, radius));
    for (let k = 0; k < order.length; k++) {
      const point = order[k];
      if (flags && flags[point] !== wanted) continue;
      const px = x[point] * scale + left, py = y[point] * scale + top;
      const set = sets[codes[point]];
      const edge = set.reach + 1;
      if (!(px >= edge && py >= edge && px < width - edge && py < height - edge)) continue;
      const column = Math.floor(px), row = Math.floor(py);
      const phase = Math.floor((py - row) * PHASES) * PHASES + Math.floor((px - column) * PHASES);
      this.blend(row * width + column, set.stamps[phase], ink.colours[codes[point]], opacity);
    }
  }

  // Red and blue are blended in one multiplication, green in another.
  blend(at, stamp, colour, opacity) {
    const { offsets, alphas } = stamp;
    const pixels = this.pixels;
    const redBlue = colour & 0xff00ff, green = colour & 0xff00;
    for (let k = 0; k < offsets.length; k++) {
      const pixel = at + offsets[k];
      const alpha = (alphas[k] * opacity) >> 8;
      const under = pixels[pixel];
      const underRedBlue = under & 0xff00ff, underGreen = under & 0xff00;
      pixels[pixel] =
        0xff000000 |
        ((underRedBlue + (Math.imul(redBlue - underRedBlue, alpha) >> 8)) & 0xff00ff) |
        ((underGreen + (Math.imul(green - underGreen, alpha) >> 8)) & 0xff00);
    }
  }
}
