// Pure functions on arrays of points: what is circled, what is nearest, and the bits that travel to the server.

// Rows inside a polygon given as [[x, y], …] in the points' coordinates.
function inside(polygon, x, y) {
  const xs = polygon.map((corner) => corner[0]), ys = polygon.map((corner) => corner[1]);
  const [west, east, north, south] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let row = 0; row < x.length; row++) {
    const px = x[row], py = y[row];
    if (!(px >= west && px <= east && py >= north && py <= south)) continue;
    let odd = false;
    for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
      if (ys[i] > py !== ys[j] > py && px < ((xs[j] - xs[i]) * (py - ys[i])) / (ys[j] - ys[i]) + xs[i]) odd = !odd;
    }
    if (odd) found.push(row);
  }
  return found;
}

// The row nearest to (px, py) within a distance, or -1.
function nearest(x, y, px, py, within) {
  let best = within * within, found = -1;
  for (let row = 0; row < x.length; row++) {
    const distance = (x[row] - px) ** 2 + (y[row] - py) ** 2;
    if (distance <= best) [best, found] = [distance, row];
  }
  return found;
}

// The rows nearest to another on a map, nearest first.
function neighboursOnMap(x, y, row, count) {
  const rows = [], distances = [];
  for (let other = 0; other < x.length; other++) {
    const distance = (x[other] - x[row]) ** 2 + (y[other] - y[row]) ** 2;
    if (other === row || !(distance < (distances[count - 1] ?? Infinity))) continue;
    let place = Math.min(distances.length, count - 1);
    while (place && distances[place - 1] > distance) {
      [distances[place], rows[place]] = [distances[place - 1], rows[place - 1]];
      place--;
    }
    [distances[place], rows[place]] = [distance, other];
  }
  return rows;
}

// Flags as a base64 bitmap, the first row in the lowest bit; nothing where none is set.
function toBits(flags) {
  if (!flags.includes(1)) return "";
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, row) => { bytes[row >> 3] |= flag << (row & 7); });
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function fromBits(text, n) {
  const flags = new Uint8Array(n), bytes = atob(text);
  for (let row = 0; row < n && row >> 3 < bytes.length; row++) flags[row] = (bytes.charCodeAt(row >> 3) >> (row & 7)) & 1;
  return flags;
}

// A fixed shuffle of the rows, so that the class drawn last does not cover the others.
function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, row) => row);
  let state = 12345;
  for (let row = n - 1; row > 0; row--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = state % (row + 1);
    [order[row], order[other]] = [order[other], order[row]];
  }
  return order;
}

// uint16 pairs as positions in the unit square; the largest value marks a point that has none.
function positions(buffer) {
  const raw = new Uint16Array(buffer), n = raw.length / 2;
  const x = new Float32Array(n), y = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    const lost = raw[2 * row] === 65535;
    x[row] = lost ? NaN : raw[2 * row] / 65534;
    y[row] = lost ? NaN : 1 - raw[2 * row + 1] / 65534;
  }
  return { x, y };
}

function between(from, to, share) {
  const n = to.x.length, x = new Float32Array(n), y = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    x[row] = from.x[row] + (to.x[row] - from.x[row]) * share;
    y[row] = from.y[row] + (to.y[row] - from.y[row]) * share;
  }
  return { x, y };
}
