// Shows any picture of a grid large: arrow keys go to its neighbours, Escape closes, and focus returns to the grid.
// Written without a "less than" before a letter or slash: Streamlit's sanitiser would take the whole script out.
(() => {
  if (window.workbenchLightbox) return;
  const GRID = ".wb-sheet, .wb-strip";
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const pictures = (grid) => [...grid.querySelectorAll("img")];
  const opens = (image) => image.matches?.("img") && !image.closest("[data-link]") && image.closest(GRID);

  // The picture in a direction: left and right in the order of the grid, up and down in the same column.
  function beside(all, at, key) {
    if (key === "ArrowLeft" || key === "ArrowRight") return at + (key === "ArrowLeft" ? -1 : 1);
    const box = (image) => image.getBoundingClientRect(), here = box(all[at]), down = key === "ArrowDown";
    const column = all.map((image, index) => [box(image), index])
      .filter(([{ left, top }]) => Math.abs(left - here.left) < 8 && (down ? top > here.top + 4 : here.top - 4 > top))
      .sort(([a], [b]) => (down ? a.top - b.top : b.top - a.top));
    return column[0]?.[1] ?? at;
  }

  // The row's name, what the picture is called, and what stands under it.
  const caption = (image) => {
    const written = (element) => element?.innerText.trim().replace(/\s*\n\s*/g, " · ") || "";
    const figure = image.closest("figure"), under = written(figure?.querySelector("figcaption"));
    let row = figure?.previousElementSibling;
    while (row && !row.matches(".wb-row")) row = row.previousElementSibling;
    const parts = [written(row)];
    for (const word of [...(image.alt || "").split(", "), under]) if (!parts.join(" · ").includes(word)) parts.push(word);
    return parts.filter(Boolean).join(" · ");
  };

  const dialog = make("dialog", { className: "wb-lightbox" });
  dialog.setAttribute("aria-label", "Enlarged picture");
  const stage = make("div", { className: "wb-stage" });
  const [large, original] = [make("img", {}), make("img", { alt: "" })];
  const divider = make("input", { type: "range", min: 0, max: 100, step: 1, value: 50 });
  divider.setAttribute("aria-label", "Divider: original left, reconstruction right");
  const words = make("p", {}), count = make("span", {}), bar = make("div", { className: "wb-bar" });
  words.setAttribute("aria-live", "polite");
  const button = (textContent, title, onclick) => {
    const made = make("button", { type: "button", textContent, title, onclick });
    made.setAttribute("aria-label", title);
    return made;
  };
  const compare = button("Compare with original", "Original and reconstruction under a divider (C)", () => pair(!paired));
  bar.append(
    button("\u2190", "Previous picture", () => move("ArrowLeft")), count,
    button("\u2192", "Next picture", () => move("ArrowRight")), compare,
    button("\u2715", "Close (Escape)", () => dialog.close()),
  );
  stage.append(original, large, divider);
  dialog.append(stage, words, bar);
  let shown = { items: [], index: 0 }, paired = false;

  const slide = () => stage.style.setProperty("--at", `${divider.value}%`);
  divider.addEventListener("input", slide);

  function pair(on) {
    paired = on;
    const possible = Boolean(shown.items[shown.index].original);
    compare.hidden = !possible;
    compare.setAttribute("aria-pressed", on);
    stage.classList.toggle("wb-pair", on && possible);
    if (on && possible) divider.focus();
    else if (dialog.contains(document.activeElement) && document.activeElement === divider) compare.focus();
    slide();
  }

  // As large as the window allows; whole multiples of the pixels of a small picture.
  function fit() {
    const { naturalWidth: width, naturalHeight: height } = large;
    if (!width) return;
    const room = Math.min((innerWidth - 32) / width, (innerHeight - 150) / height);
    const scale = room > 2 ? Math.floor(room) : room;
    for (const image of [large, original]) {
      image.style.cssText = `width:${Math.round(width * scale)}px;height:${Math.round(height * scale)}px`;
      image.style.imageRendering = scale > 1 ? "pixelated" : "auto";
    }
  }
  large.addEventListener("load", fit);
  addEventListener("resize", fit);

  async function show(index) {
    const item = shown.items[index];
    if (!item) return;
    shown.index = index;
    large.src = typeof item.source === "function" ? await item.source() : item.source;
    large.alt = item.caption;
    if (item.original) original.src = item.original;
    words.textContent = item.caption;
    count.textContent = `${index + 1} of ${shown.items.length}`;
    pair(paired);
  }

  function move(key) {
    const { items, index } = shown, to = shown.next ? shown.next(index, key) : index + (/Left|Up/.test(key) ? -1 : 1);
    if (items[to]) show(to);
  }

  // Pictures {source, caption, original}: source is an address, or a function that makes one.
  window.workbenchLightbox = (items, index, next) => {
    // From the app's element the dialog inherits the theme's colours.
    if (!dialog.isConnected) document.querySelector(".stApp").append(dialog);
    [shown, paired] = [{ items, index, next }, false];
    if (!dialog.open) dialog.showModal();
    show(index);
  };

  function openGrid(image) {
    const all = pictures(image.closest(GRID));
    const items = all.map((one) => {
      const { role, column } = one.dataset;
      const pairOf = role === "reconstruction" && all.find((other) => other.dataset.role === "original" && other.dataset.column === column);
      return { source: one.src, caption: caption(one), original: pairOf ? pairOf.src : "" };
    });
    window.workbenchLightbox(items, all.indexOf(image), (index, key) => beside(all, index, key));
  }

  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("click", (event) => {
    const glass = event.target.closest?.(".wb-magnify");
    const image = glass ? glass.closest("figure").querySelector("img") : event.target;
    if (glass || opens(image)) openGrid(image);
  });
  // Before the page's own shortcuts, which turn pages by arrow keys and clear selections by Escape.
  addEventListener("keydown", (event) => {
    const arrow = /^Arrow/.test(event.key), image = document.activeElement;
    if (dialog.open) {
      event.stopImmediatePropagation();
      if (event.key === "Escape") dialog.close();
      else if (event.key === "c" && shown.items[shown.index].original) pair(!paired);
      else if (arrow && !(paired && image === divider && /Left|Right/.test(event.key))) move(event.key);
      else return;
      return event.preventDefault();
    }
    if (!image || !opens(image) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") openGrid(image);
    else if (arrow) {
      const all = pictures(image.closest(GRID)).filter(opens), to = all[beside(all, all.indexOf(image), event.key)];
      if (to) focusOn(to);
    } else return;
    event.stopImmediatePropagation();
    event.preventDefault();
  }, true);

  function focusOn(image) {
    pictures(image.closest(GRID)).filter(opens).forEach((other) => { other.tabIndex = other === image ? 0 : -1; });
    image.focus();
  }

  // Of every grid one picture is reached by Tab, the others by arrow keys.
  let planned = 0;
  const prepare = () => {
    planned = 0;
    document.querySelectorAll(GRID).forEach((grid) => {
      const all = pictures(grid).filter(opens);
      if (all.length && !all.some((image) => image.tabIndex === 0)) all[0].tabIndex = 0;
      all.forEach((image) => {
        if (image.getAttribute("role")) return;
        image.setAttribute("role", "button");
        if (image.tabIndex !== 0) image.tabIndex = -1;
      });
    });
  };
  new MutationObserver(() => { planned ||= requestAnimationFrame(prepare); }).observe(document.body, { childList: true, subtree: true });
  prepare();
})();
