// The SQL page: Ctrl-Enter runs, Stop stops, the list of tables is filtered.
"use strict";

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("[data-runs]");
  if (!field || event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  field.form.requestSubmit(document.getElementById(field.dataset.runs));
});

document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-filter]");
  if (!field) return;
  const wanted = field.value.trim().toLowerCase();
  for (const offered of document.querySelectorAll(field.dataset.filter))
    offered.hidden = !offered.dataset.name.includes(wanted);
});

// A request that is given up: the server hears that nobody waits, and stops the query.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-stop]");
  if (button) htmx.trigger(button.dataset.stop, "htmx:abort");
});

function setRunning(form, isRunning) {
  for (const button of document.querySelectorAll("[data-stop]"))
    if (document.querySelector(button.dataset.stop) === form) button.hidden = !isRunning;
}
document.addEventListener("htmx:beforeRequest", (event) => setRunning(event.detail.elt, true));
document.addEventListener("htmx:afterRequest", (event) => setRunning(event.detail.elt, false));

// Of an answer a screen reader hears how many rows it has, not all of them.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "answer") return;
  const said = event.detail.target.querySelector("p");
  document.getElementById("announcement").textContent = said ? said.textContent.trim() : "";
});
