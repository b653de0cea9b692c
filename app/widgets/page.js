// Opens and closes every protocol on the page together, and remembers it for the other pages of this tab.
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
  new MutationObserver(apply).observe(document.body, { childList: true, subtree: true });
  apply();
})();
