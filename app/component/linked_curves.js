// A plotly figure over training. A drag along x zooms all of these figures on the page at once, in the browser; the
// server then sends the curves of that part in full resolution. A double click shows the whole training again.

const figures = (window.workbenchCurves ??= new Set());

function library(address) {
  window.workbenchPlotly ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: address, onerror: reject });
    script.onload = () => resolve(window.Plotly);
    document.head.append(script);
  });
  return window.workbenchPlotly;
}

// The ends of the y axis that show the curves between two places of the x axis, with a margin.
function fit(plot, start, stop) {
  const log = plot.layout.yaxis.type === "log", scaled = (y) => (log ? Math.log10(y) : y);
  let low = Infinity, high = -Infinity;
  for (const { x, y } of plot._fullData) {
    const within = (i) => x[i] >= start && x[i] <= stop;
    for (let i = 0; i < x.length; i++) {
      if (!(within(i) || within(i - 1) || within(i + 1)) || !Number.isFinite(scaled(y[i]))) continue;
      low = Math.min(low, scaled(y[i]));
      high = Math.max(high, scaled(y[i]));
    }
  }
  const margin = 0.05 * (high - low);
  return margin > 0 ? [low - margin, high + margin] : null;
}

function zoom(Plotly, range) {
  for (const plot of figures) {
    const [start, stop] = range ?? [0, plot.whole], y = range && fit(plot, start, stop);
    const change = { "xaxis.range[0]": start, "xaxis.range[1]": stop };
    if (y) Object.assign(change, { "yaxis.range[0]": y[0], "yaxis.range[1]": y[1] });
    plot.start = start;
    Plotly.relayout(plot, y ? change : { ...change, "yaxis.autorange": true });
    plot.querySelectorAll(".annotation").forEach((name) => name.remove()); // until the server's figure has their heights
  }
}

function draw(Plotly, plot, { figure, whole }) {
  const { color, fontFamily } = getComputedStyle(plot), spec = JSON.parse(figure), clear = "rgba(0,0,0,0)";
  const layout = { ...spec.layout, font: { color, family: fontFamily }, paper_bgcolor: clear, plot_bgcolor: clear };
  layout.modebar = { bgcolor: clear, color, activecolor: color };
  layout.hoverlabel = { bgcolor: getComputedStyle(document.querySelector(".stApp")).backgroundColor, font: { color } };
  plot.whole = whole;
  // One button, which saves the figure: plotly's own list has one that sends it to a server of theirs.
  const config = { responsive: true, doubleClick: false, showTips: false, displaylogo: false, modeBarButtons: [["toImage"]] };
  const drawn = Plotly.react(plot, spec.data, { ...layout, dragmode: "zoom" }, config);
  if (figures.has(plot)) return;
  figures.add(plot);
  drawn.then(() => {
    plot.on("plotly_relayout", (change) => {
      const range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] === undefined || range[0] === plot.start) return; // a change of the size, or ours
      zoom(Plotly, range);
      plot.send("zoom", range);
    });
    plot.on("plotly_doubleclick", () => {
      zoom(Plotly, null);
      plot.send("zoom", []);
    });
  });
}

export default function ({ data, parentElement, setTriggerValue }) {
  const plot = parentElement.querySelector(".wb-curves");
  plot.ariaLabel = data.alt;
  plot.send = setTriggerValue;
  library(data.library).then((Plotly) => draw(Plotly, plot, data));
  return () => {
    figures.delete(plot);
    window.Plotly?.purge(plot);
  };
}
