// Saves a plotly figure from the browser: PNG and SVG by plotly's own camera, the data that are drawn as CSV.
// What a trace does not draw as it is, its `meta` tells: `x`, `y` (true places or names), `low`, `high`, `drawn`, and
// `x title`, `y title` where the axis has none. Shapes with a name are references, other shapes are decoration.
// Written without a "less than" before a letter or slash: Streamlit's sanitiser would take the whole script out.
(() => {
  if (window.workbenchSaving) return;
  window.workbenchSaving = true;

  const plain = (text) => {
    if (!/[\x3c&]/.test(text ?? "")) return String(text ?? "").trim();
    const html = new DOMParser().parseFromString(String(text ?? "").replace(/\x3cbr>/g, " "), "text/html");
    return html.body.textContent.replace(/^● /, "").trim();
  };
  const quoted = (value) => {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function axisOf(plot, letter, name) {
    const get = (id) => plot._fullLayout[id.replace(letter, `${letter}axis`)] || {};
    const axis = get(name || letter);
    // Panels that share an axis may have its names and its title on the first one only.
    const first = axis.matches ? get(axis.matches) : axis;
    const { ticktext, tickvals } = axis.ticktext ? axis : first;
    const places = new Map((ticktext || []).map((text, index) => [Number(tickvals[index]), plain(text)]));
    const title = (one) => plain(one.title?.text).replace(/^Click to enter.*/, "");
    const panel = plot._fullData.find((trace) => (trace.xaxis || "x") === (name || letter) && trace.meta?.["x title"]);
    return {
      title: title(axis) || title(first) || (letter === "x" && panel?.meta["x title"]) || "",
      name: (value) => (axis.type === "log" ? value : places.get(Number(value)) ?? value),
    };
  }

  const at = (values, index) => (values === undefined || values === null ? undefined : Array.isArray(values) ||
    ArrayBuffer.isView(values) ? values[index] : values);

  function ends(error, value, index) {
    const above = at(error?.array, index);
    if (!error?.visible || above === undefined || above === null) return ["", ""];
    return [value - (at(error.arrayminus, index) ?? above), value + above];
  }

  const named = (trace) => trace.name && !/^trace \d+$/.test(trace.name);

  function hover(trace, index) {
    const words = at(trace.text, index) || at(trace.hovertext, index);
    if (words) return plain(words);
    const template = at(trace.hovertemplate, index) || "";
    return /%\{/.test(template) ? "" : plain(template.replace(/\x3cextra>.*\x3c\/extra>/, ""));
  }

  function rowsOf(plot, trace) {
    const x = axisOf(plot, "x", trace.xaxis), y = axisOf(plot, "y", trace.yaxis);
    const told = trace.meta || {};
    const start = [x.title, y.title || told["y title"] || "", named(trace) ? plain(trace.name) : ""];
    const drawn = told.drawn || "";
    const across = (i) => at(told.x, i) ?? x.name(trace.x ? at(trace.x, i) : i);
    const up = (i) => at(told.y, i) ?? y.name(trace.y ? at(trace.y, i) : i);
    const rows = [];
    if (trace.z) {
      for (let i = 0; i < trace.z.length; i++) {
        for (let j = 0; j < trace.z[i].length; j++) {
          let value = trace.z[i][j];
          if (value === null || value === undefined || Number.isNaN(value)) continue;
          if (trace.z[i] instanceof Float32Array) value = Number(value.toPrecision(7));
          const [low, high, text] = [told.low, told.high, trace.text].map((table) => at(at(table, i), j));
          rows.push([...start, across(j), up(i), value, low, high, drawn, plain(text)]);
        }
      }
      return rows;
    }
    const tick = trace.mode === "lines" && trace.x?.length === 2 && trace.x[0] === trace.x[1];  // a reference
    if (tick) return [[...start, across(0), told.y ?? "", "", "", "", drawn, ""]];
    const count = Math.max(trace.x?.length || 0, trace.y?.length || 0);
    for (let i = 0; i < count; i++) {
      const [low, high] = told.low ? [at(told.low, i), at(told.high, i)] : trace.error_x?.visible ?
        ends(trace.error_x, at(trace.x, i), i) : ends(trace.error_y, at(trace.y, i), i);
      rows.push([...start, across(i), up(i), "", low, high, drawn, hover(trace, i)]);
    }
    return rows;
  }

  function reference(plot, shape) {
    const [x, y] = ["x", "y"].map((letter) => axisOf(plot, letter, shape[`${letter}ref`].split(" ")[0]));
    const [across, up] = [[x, "x"], [y, "y"]].map(([axis, letter]) => {
      const [start, end] = [shape[`${letter}0`], shape[`${letter}1`]];
      return start === end ? axis.name(start) : "";
    });
    return [x.title, y.title, plain(shape.name), across, up, "", "", "", "", ""];
  }

  function csv(plot) {
    const head = ["figure", "x title", "y title", "series", "x", "y", "value", "low", "high", "drawn", "note"];
    const figure = plot.closest("[role=figure]")?.getAttribute("aria-label") || "";
    // Bands and labels' ends are drawn a second time and without a name.
    const data = (trace) => trace.marker?.opacity !== 0 && (trace.hoverinfo !== "skip" || named(trace));
    const rows = plot._fullData.filter((trace) => trace.visible === true && data(trace))
      .flatMap((trace) => rowsOf(plot, trace));
    rows.push(...(plot.layout.shapes || []).filter((shape) => shape.name).map((shape) => reference(plot, shape)));
    const table = rows.map((row) => [figure, ...row].map(quoted));
    const used = head.map((_, column) => table.some((row) => row[column] !== ""));
    return [head, ...table].map((row) => row.filter((_, c) => used[c]).join(",")).join("\n") + "\n";
  }

  function download(text, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function picture(plot, format, filename) {
    const camera = [...plot.querySelectorAll(".modebar-btn")].find((b) => /^download/i.test(b.dataset.title || ""));
    if (!camera) return;
    const before = plot._context.toImageButtonOptions, paper = plot.layout.paper_bgcolor;
    plot._context.toImageButtonOptions = { ...before, format, filename, scale: format === "png" ? 2 : 1 };
    // The page lends the figure its background, which the file would otherwise lack.
    plot.layout.paper_bgcolor = getComputedStyle(document.querySelector(".stApp")).backgroundColor;
    camera.click();
    plot._context.toImageButtonOptions = before;
    setTimeout(() => { plot.layout.paper_bgcolor = paper; }, 500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".wb-save button");
    if (!button) return;
    const name = button.parentElement.dataset.chart;
    const plot = document.querySelector(`.st-key-${CSS.escape(name)} .js-plotly-plot`);
    if (!plot) return;
    const format = button.textContent.toLowerCase();
    if (format === "csv") download(csv(plot), `${name}.csv`);
    else picture(plot, format, name);
  });
})();
