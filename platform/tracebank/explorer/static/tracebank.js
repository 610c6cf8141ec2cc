// What every page does beyond htmx: copy, keys, and what a screen reader is told. Elements say so by attributes of data.
"use strict";

function announce(text) {
  document.getElementById("announcement").textContent = text;
}

/** Copies what `data-copy` says, or the text of the element that the selector `data-copy-from` names. */
async function copy(button) {
  const from = button.dataset.copyFrom ? document.querySelector(button.dataset.copyFrom) : null;
  const text = from ? (from.value ?? from.textContent) : button.dataset.copy || location.href;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Outside localhost and https a page has no clipboard: the old way selects a field of its own.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
  announce("Copied");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (button) copy(button);
});

// `data-key="j ArrowRight"` on a link or a field: the key follows the link, or goes to the field.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable], [tabindex='0']")) return;
  const target = document.querySelector(`[data-key~="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("a")) target.click();
  else target.focus();
});

// A choice that needs no button where there are scripts: `data-submit` on its field.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// An error that is told as a page is shown as one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = event;
  if (detail.isError && (detail.xhr.getResponseHeader("Content-Type") || "").startsWith("text/html")) {
    detail.shouldSwap = true;
    detail.isError = false;
  }
});

// An error of a part of a page is said where the part would have come.
document.addEventListener("htmx:responseError", (event) => {
  const { target, xhr } = event.detail;
  const line = document.createElement("p");
  line.className = "problem";
  line.textContent = (xhr.responseText || `${xhr.status} ${xhr.statusText}`).slice(0, 500);
  target.replaceChildren(line);
  announce(line.textContent);
});
document.addEventListener("htmx:sendError", () => announce("No answer came."));
