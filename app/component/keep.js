// Saves the maps as they are shown: PNG and SVG with a title for each, the places of all images as CSV.

const TITLE = 30; // pixels above a map
const GAP = 24;

function keep(stage, kind) {
  const panes = stage.panes.filter((pane) => pane.points && pane.raster.image);
  if (!panes.length) return;
  if (kind === "CSV") return handOver(new Blob([csvOf(stage, panes)], { type: "text/csv" }), "maps.csv");
  if (kind === "SVG") return handOver(new Blob([svgOf(stage, panes)], { type: "image/svg+xml" }), "maps.svg");
  canvasOf(stage, panes).toBlob((blob) => handOver(blob, "maps.png"), "image/png");
}

function handOver(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const titleOf = (pane) => `${pane.told.name}  ${pane.spaceName}`;

// Where each map stands: its left upper corner and its size, and the size of the whole.
function places(stage, panes) {
  const [width, height] = [Math.max(...panes.map((pane) => pane.raster.image.width)), Math.max(...panes.map((pane) => pane.raster.image.height))];
  const columns = Math.min(panes.length, Number(stage.told.columns) || 1), rows = Math.ceil(panes.length / columns);
  const ratio = panes[0].ratio || 1;
  const corners = panes.map((pane, index) => [
    (index % columns) * (width + GAP * ratio), Math.floor(index / columns) * (height + (TITLE + GAP) * ratio) + TITLE * ratio,
  ]);
  return { corners, ratio, width: columns * (width + GAP * ratio) - GAP * ratio, height: rows * (height + (TITLE + GAP) * ratio) };
}

function canvasOf(stage, panes) {
  const { corners, ratio, width, height } = places(stage, panes);
  const canvas = Object.assign(document.createElement("canvas"), { width, height }), context = canvas.getContext("2d");
  context.fillStyle = stage.background;
  context.fillRect(0, 0, width, height);
  context.fillStyle = stage.ink0;
  context.font = `600 ${14 * ratio}px sans-serif`;
  panes.forEach((pane, index) => {
    const [x, y] = corners[index];
    context.fillText(titleOf(pane), x, y - 10 * ratio);
    context.drawImage(pane.raster.canvas, x, y);
  });
  return canvas;
}

const escaped = (text) => String(text).replace(/[&"\x3c>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

function svgOf(stage, panes) {
  const { corners, ratio, width, height } = places(stage, panes);
  const { order, flags, count, told } = stage, parts = [];
  panes.forEach((pane, index) => {
    const [x, y] = corners[index], { scale, left, top } = pane.frame(), image = pane.raster.image;
    parts.push(`<text x="${x}" y="${y - 10 * ratio}" font-weight="600" font-size="${14 * ratio}" fill="${stage.ink0}">${escaped(titleOf(pane))}</text>`);
    parts.push(`<svg x="${x}" y="${y}" width="${image.width}" height="${image.height}">`);
    const radius = (order.length <= 3000 ? 3 : 1.8) * ratio;
    for (const wanted of count ? [0, 1] : [0]) {
      for (const row of order) {
        if (count && flags[row] !== wanted) continue;
        const [px, py] = [pane.points.x[row] * scale + left, pane.points.y[row] * scale + top];
        if (!(px >= 0 && py >= 0 && px <= image.width && py <= image.height)) continue;
        const colour = told.palette[pane.codes[row]]?.colour ?? stage.ink0, dim = count && !wanted ? 0.15 : 0.85;
        parts.push(`<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="${radius}" fill="${colour}" fill-opacity="${dim}"/>`);
      }
    }
    parts.push("</svg>");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif">
<rect width="${width}" height="${height}" fill="${stage.background}"/>
${parts.join("\n")}
</svg>`;
}

function csvOf(stage, panes) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const { told } = stage, lines = ["map,space,image,file,class,x,y,selected"];
  panes.forEach((pane) => {
    for (let row = 0; row < pane.points.x.length; row++) {
      const [x, y] = [pane.points.x[row], 1 - pane.points.y[row]];
      const place = Number.isFinite(x) ? `${x.toFixed(5)},${y.toFixed(5)}` : ",";
      const name = told.classes[stage.labels?.[row]] ?? "";
      lines.push(`${quoted(pane.told.name)},${quoted(pane.spaceName)},${stage.ids?.[row] ?? row},${quoted(stage.names?.[row] ?? "")},${quoted(name)},${place},${stage.flags[row]}`);
    }
  });
  return lines.join("\n") + "\n";
}
