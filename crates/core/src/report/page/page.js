"use strict";
(() => {
  // Light or dark by choice; without script the system's choice holds.
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", "Switch to the " + (dark() ? "light" : "dark") + " theme");
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  name();

  // Tables sort by a click on a heading; numbers by their key, words by the alphabet, gaps last.
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.textContent = head.textContent;
      head.replaceChildren(sorter);
      sorter.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const numbers = [...body.rows].some((row) => row.cells[column].dataset.k !== undefined);
        const key = (row) => {
          const cell = row.cells[column];
          if (!numbers) return cell.textContent;
          return cell.dataset.k === undefined ? NaN : Number(cell.dataset.k);
        };
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([a], [b]) => {
          if (!numbers) return up ? a.localeCompare(b) : b.localeCompare(a);
          if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
          return a === b ? 0 : (a < b) === up ? -1 : 1;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  // Where nothing hovers, a tap on a point shows its numbers below the picture.
  for (const figure of document.querySelectorAll("figure")) {
    figure.addEventListener("click", (event) => {
      const note = event.target.closest(".h")?.querySelector("title")?.textContent;
      if (!note) return;
      let tip = figure.querySelector(".tip");
      if (!tip) {
        tip = document.createElement("p");
        tip.className = "tip";
        tip.setAttribute("role", "status");
        figure.querySelector("svg").after(tip);
      }
      tip.textContent = note;
    });
  }
})();
