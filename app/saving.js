// Saves a plotly figure from the browser: PNG and SVG by plotly's own camera, the data that are drawn as CSV.
// Written without a "less than" before a letter or slash: Streamlit's sanitiser would take the whole script out.
(() => {
  if (window.workbenchSaving) return;
  window.workbenchSaving = true;

  const plain = (text) => {
    const html = new DOMParser().parseFromString(String(text ?? "").replace(/\x3cbr>/g, " "), "text/html");
    return html.body.textContent.trim();
  };
  const quoted = (value) => {
    const text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function axisOf(plot, letter, name) {
    const axis = plot._fullLayout[(name || letter).replace(letter, `${letter}axis`)] || {};
    // Panels that share an axis have its names on the first one only.
    const named = axis.ticktext || !axis.matches ? axis : axisOf(plot, letter, axis.matches);
    const places = new Map((named.ticktext || []).map((text, index) => [Number(named.tickvals[index]), plain(text)]));
    return {
      title: plain(axis.title?.text).replace(/^Click to enter.*/, ""),
      name: (value) => places.get(Number(value)) ?? value,
    };
  }

  const at = (values, index) => (values === undefined || values === null ? undefined : Array.isArray(values) ||
    ArrayBuffer.isView(values) ? values[index] : values);

  function ends(error, value, index) {
    if (!error?.visible || at(error.array, index) === undefined) return ["", ""];
    const above = at(error.array, index);
    return [value - (at(error.arrayminus, index) ?? above), value + above];
  }

  function told(trace, index) {
    const words = at(trace.text, index) || at(trace.hovertext, index);
    if (words) return plain(words);
    const template = at(trace.hovertemplate, index) || "";
    return /%\{/.test(template) ? "" : plain(template.replace(/\x3cextra>.*\x3c\/extra>/, ""));
  }

  function rowsOf(plot, trace) {
    const x = axisOf(plot, "x", trace.xaxis), y = axisOf(plot, "y", trace.yaxis);
    const series = /^trace \d+$/.test(trace.name || "") ? "" : plain(trace.name);
    const start = [x.title, y.title, series];
    const rows = [];
    if (trace.z) {
      for (let i = 0; i < trace.z.length; i++) {
        for (let j = 0; j < trace.z[i].length; j++) {
          const value = trace.z[i][j];
          if (value === null || value === undefined || Number.isNaN(value)) continue;
          const place = [x.name(at(trace.x, j) ?? j), y.name(at(trace.y, i) ?? i)];
          rows.push([...start, ...place, value, "", "", plain(at(at(trace.text, i), j))]);
        }
      }
      return rows;
    }
    const tick = trace.mode === "lines" && trace.x?.length === 2 && trace.x[0] === trace.x[1];  // a reference
    if (tick) return [[...start, x.name(trace.x[0]), "", "", "", "", ""]];
    const count = Math.max(trace.x?.length || 0, trace.y?.length || 0);
    for (let i = 0; i < count; i++) {
      const across = at(trace.x, i), up = at(trace.y, i);
      const [low, high] = trace.error_x?.visible ? ends(trace.error_x, across, i) : ends(trace.error_y, up, i);
      rows.push([...start, x.name(across), y.name(up), "", low, high, told(trace, i)]);
    }
    return rows;
  }

  function csv(plot) {
    const head = ["x title", "y title", "series", "x", "y", "value", "low", "high", "note"];
    const seen = (trace) => trace.visible === true && trace.hoverinfo !== "skip" && trace.marker?.opacity !== 0;
    const shown = plot._fullData.filter(seen);
    const rows = shown.flatMap((trace) => rowsOf(plot, trace));
    const used = head.map((_, column) => rows.some((row) => row[column] !== "" && row[column] !== undefined));
    return [head, ...rows].map((row) => row.filter((_, c) => used[c]).map(quoted).join(",")).join("\n") + "\n";
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
