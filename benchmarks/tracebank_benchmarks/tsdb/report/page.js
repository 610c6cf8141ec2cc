const kept = {
  get: (name) => { try { return localStorage.getItem(name) || ""; } catch { return ""; } },
  set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* a page of a file may keep nothing */ } },
};
const theme = document.getElementById("theme");
function dress() {
  document.documentElement.dataset.theme = theme.value;
  kept.set("tracebank-theme", theme.value);
}
theme.value = kept.get("tracebank-theme");
dress();
theme.addEventListener("change", dress);

const switches = [...document.querySelectorAll("[data-entry]")];
function hide() {
  const off = switches.filter((box) => !box.checked).map((box) => box.dataset.entry);
  const rules = off.map((entry) => `[data-e="${entry}"], [id^="e${entry}."] { display: none; }`);
  document.getElementById("hidden").textContent = rules.join("\n");
}
switches.forEach((box) => box.addEventListener("change", hide));

for (const radio of document.querySelectorAll("[name=q]"))
  radio.addEventListener("change", () => document.body.classList.toggle("tail", radio.value === "p99"));

function worth(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  const text = cell.dataset.s ?? cell.textContent.trim().replaceAll(",", "");
  const units = { "µs": 1e-6, ms: 1e-3, s: 1 };
  const [, figure, unit] = /^(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?) ?(µs|ms|s|%)?(?: (?:→|–|of) .*)?$/.exec(text) ?? [];
  return figure === undefined ? text : Number(figure) * (units[unit] ?? 1);
}
function sort(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const compare = (a, b) => {
    const [x, y] = [worth(a, column), worth(b, column)];
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  };
  body.append(...[...body.rows].sort(compare));
}
document.querySelectorAll("thead th").forEach((head) => head.addEventListener("click", () => sort(head)));
