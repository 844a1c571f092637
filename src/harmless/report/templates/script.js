"use strict";
(() => {
  const root = document.documentElement;
  const wanted = new URLSearchParams(location.search).get("theme");
  root.classList.add("js");
  if (wanted === "dark" || wanted === "light") root.dataset.theme = wanted;

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);

  function theme() {
    const button = one(".theme");
    const prefers = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefers.matches);
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      show();
    });
    prefers.addEventListener("change", show);
    show();
  }

  function switches() {
    for (const group of all(".switch")) {
      group.addEventListener("change", (event) => {
        const value = event.target.value;
        if (group.dataset.switch === "shown") one("#sunburst").dataset.shown = value;
        if (group.dataset.switch === "level") {
          one(".hazards").dataset.level = value;
          count();
        }
        if (group.dataset.switch === "slope")
          for (const chart of all("[data-slope]")) chart.toggleAttribute("data-later", chart.dataset.slope !== value);
      });
    }
  }

  // One tab stop for the rings; arrows walk through siblings, to the parent and to the first child.
  function rings() {
    const svg = one("#sunburst");
    if (!svg) return;
    const arcs = all(".arc", svg);
    const byId = new Map(arcs.map((arc) => [arc.dataset.id, arc]));
    const fields = all("#panel [data-field]");
    const whole = new Map(fields.map((field) => [field, field.textContent]));
    const siblings = (arc) => arcs.filter((other) => other.dataset.parent === arc.dataset.parent);
    const step = (arc, by) => {
      const row = siblings(arc);
      return row[(row.indexOf(arc) + by + row.length) % row.length];
    };
    const moves = {
      ArrowRight: (arc) => step(arc, 1),
      ArrowLeft: (arc) => step(arc, -1),
      ArrowUp: (arc) => byId.get(arc.dataset.parent),
      ArrowDown: (arc) => arcs.find((other) => other.dataset.parent === arc.dataset.id),
    };
    const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
    const show = (arc) => {
      one("#halo").setAttribute("d", arc ? one("path", arc).getAttribute("d") : "M0 0");
      for (const field of fields) {
        const found = arc && (arc.dataset[camel(field.dataset.field)] ?? "not asked");
        field.textContent = arc ? found || "\u00a0" : whole.get(field);
      }
    };
    const focus = (arc) => {
      for (const other of arcs) other.tabIndex = other === arc ? 0 : -1;
      arc.focus();
    };
    for (const arc of arcs) {
      arc.addEventListener("pointerenter", () => show(arc));
      arc.addEventListener("focus", () => show(arc));
      arc.addEventListener("click", () => focus(arc));
    }
    svg.addEventListener("pointerleave", () => show(document.activeElement.closest(".arc")));
    svg.addEventListener("focusout", () => show(null));
    svg.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      const arc = event.target.closest(".arc");
      if (!move || !arc) return;
      event.preventDefault();
      const next = move(arc);
      if (next) focus(next);
    });
  }

  function count() {
    const table = one(".hazards");
    const here = all("tbody tr", table).filter((row) => row.dataset.level === table.dataset.level);
    const fitting = here.filter((row) => !row.hasAttribute("data-out"));
    const shown = fitting.filter((row) => "all" in table.dataset || !row.hasAttribute("data-later"));
    const more = one("#more");
    more.hidden = shown.length === fitting.length;
    more.textContent = `Show all ${fitting.length}`;
    one("#count").textContent = `${shown.length} of ${here.length} shown`;
  }

  function table() {
    const grid = one(".hazards");
    if (!grid) return;
    const body = one("tbody", grid);
    const key = (row, name) => {
      const value = row.dataset[name] ?? "";
      const number = Number(value);
      return value === "" ? null : Number.isNaN(number) ? value : number;
    };
    const compare = (name, sign) => (first, second) => {
      const [a, b] = [key(first, name), key(second, name)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    };
    for (const button of all("thead button", grid)) {
      button.addEventListener("click", () => {
        const head = button.closest("th");
        const rising = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && ["name", "p"].includes(button.dataset.sort));
        for (const other of all("thead th", grid)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        grid.dataset.all = "";
        body.append(...all("tr", body).sort(compare(button.dataset.sort, rising ? 1 : -1)));
        count();
      });
    }
    one("#filter").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/);
      grid.dataset.all = "";
      for (const row of all("tr", body)) {
        const text = one("th", row).textContent.toLowerCase();
        row.toggleAttribute("data-out", !words.every((word) => text.includes(word)));
      }
      count();
    });
    one("#more").addEventListener("click", () => {
      grid.dataset.all = "";
      count();
    });
    count();
  }

  // Sealed text is decoded only when it is asked for, and put in as text, never as markup.
  function seals() {
    const decode = (text) => new TextDecoder().decode(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    for (const button of all(".reveal")) {
      const box = button.closest(".sealed");
      const cover = one(".cover", box);
      const quote = document.createElement("blockquote");
      quote.dir = "auto";
      button.addEventListener("click", () => {
        const open = box.classList.toggle("open");
        quote.textContent = open ? decode(box.dataset.text) : "";
        (open ? cover : quote).replaceWith(open ? quote : cover);
        button.setAttribute("aria-expanded", String(open));
        button.textContent = open ? "Hide" : "Show";
      });
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const part of [theme, switches, rings, table, seals]) part();
  });
})();
