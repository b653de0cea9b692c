// Opens and closes every protocol on the page together, and remembers it for the other pages of this tab; scrolls to
// what a click has added.
(() => {
  if (window.workbenchProtocols) return;
  window.workbenchProtocols = true;

  const key = "workbench-protocol", which = "details.wb-protocol";
  let open = sessionStorage.getItem(key) === "open";
  const apply = () => document.querySelectorAll(which).forEach((one) => { if (one.open !== open) one.open = open; });
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.(which) || event.target.open === open) return;
    open = event.target.open;
    sessionStorage.setItem(key, open ? "open" : "closed");
    apply();
  }, true);

  // Brings what a click has added to the page into view, once.
  let revealed = null;
  const reveal = () => {
    const place = document.querySelector(".wb-reveal");
    if (!place || place.dataset.token === revealed) return;
    revealed = place.dataset.token;
    const block = place.closest("[data-testid=stVerticalBlock]") || place;
    // Figures above may still grow.
    for (const wait of [60, 600]) {
      setTimeout(() => {
        const images = block.querySelector(".wb-cell-images") || block, { top, bottom } = images.getBoundingClientRect();
        if (bottom > innerHeight || 60 > top) images.scrollIntoView({ block: bottom - top > innerHeight - 120 ? "start" : "center" });
      }, wait);
    }
  };
  new MutationObserver(() => { apply(); reveal(); }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-token"] });
  apply();
})();
