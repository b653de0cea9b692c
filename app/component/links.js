// HTML whose links tell the server what was clicked, so that the session goes on; with Ctrl, Shift or the middle button
// the browser follows the address.

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".wb-links");
  if (root.told !== data.html) {
    root.told = data.html;
    root.innerHTML = data.html;
  }
  root.onclick = (event) => {
    const link = event.target.closest("[data-link]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setTriggerValue("link", link.dataset.link);
  };
}
