// The ground that every explorer stands on. Python wraps this file, one explorer's file and the data into one function, so
// nothing here is global, any number of explorers can stand on a page, and the same script may be there twice.
// Given by Python: PALETTE (name -> color), STYLE (the style sheet). An explorer defines build(ui, data).

const SVG = "http://www.w3.org/2000/svg";

// ---- elements -------------------------------------------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// An empty drawing of a fixed size in pixels, which assistive technology reads as one picture.
function drawing(width, height, label, attributes = {}) {
  return svg("svg", {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": label,
    ...attributes,
  });
}

// A table of square cells at (x, y). paint(row, column) gives { fill, text, ink, stroke, dash } or null for no cell.
function cells(parent, rows, columns, size, paint, { x = 0, y = 0, font = size * 0.42 } = {}) {
  const table = [];
  for (let row = 0; row < rows; row++) {
    table.push([]);
    for (let column = 0; column < columns; column++) {
      const look = paint(row, column);
      if (!look) {
        table[row].push(null);
        continue;
      }
      const left = x + column * size,
        top = y + row * size;
      const box = svg("rect", {
        x: left + 0.5,
        y: top + 0.5,
        width: size - 1,
        height: size - 1,
        fill: look.fill || "none",
        stroke: look.stroke,
        "stroke-dasharray": look.dash,
        "shape-rendering": "crispEdges",
      });
      parent.append(box);
      let label = null;
      if (look.text !== undefined && look.text !== "") {
        const fitting = Math.min(font, (1.45 * size) / String(look.text).length);
        label = words(left + size / 2, top + size / 2, look.text, { fill: look.ink, "font-size": fitting });
        parent.append(label);
      }
      table[row].push({ box, label });
    }
  }
  return table;
}

// Text centered on (x, y) both ways.
function words(x, y, text, attributes = {}) {
  return svg(
    "text",
    { x, y, "text-anchor": "middle", dy: "0.35em", "font-size": 13, ...attributes },
    String(text),
  );
}

// ---- numbers and colors --------------------------------------------------------------------------------------------

const MINUS = "\u2212";
const round = (value, digits = 2) => Math.round(value * 10 ** digits) / 10 ** digits + 0;
const format = (value, digits = 2) => String(round(value, digits)).replace("-", MINUS);
// without the zero before the point, for small cells
const brief = (value, digits = 2) => format(value, digits).replace(/^(\u2212?)0\./, "$1.");
const isExact = (value, digits = 2) => Math.abs(value - round(value, digits)) < 1e-9;
const factor = (value, digits = 2) => (value < 0 ? `(${format(value, digits)})` : format(value, digits));
const subscript = (number) =>
  String(number)
    .replace(/-/g, "\u208b")
    .replace(/\d/g, (digit) => String.fromCharCode(0x2080 + Number(digit)));
const range = (count) => Array.from({ length: Math.max(0, count) }, (_, index) => index);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return (
    "#" +
    a
      .map((value, index) =>
        Math.round(value + (b[index] - value) * share)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")
  );
}
function luminance(color) {
  const [r, g, b] = channels(color).map((value) =>
    value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
// black or white, whichever can be read better on the color
const inkOn = (color) => (luminance(color) > 0.179 ? "#000000" : "#ffffff");
const gray = (value, low = 0, high = 1) =>
  mix("#000000", "#ffffff", clamp((value - low) / (high - low || 1), 0, 1));
// blue below zero, vermillion above, the page's ground at zero
function signed(value, largest, dark) {
  const share = largest > 0 ? clamp(Math.abs(value) / largest, 0, 1) : 0;
  return mix(dark ? "#2a313b" : "#ffffff", value < 0 ? PALETTE.blue : PALETTE.vermillion, share);
}

// ---- controls: each has a visible label and returns { node, set(value) } ---------------------------------------------

function button(text, label, onclick, attributes = {}) {
  return html("button", { type: "button", "aria-label": label, onclick, ...attributes }, text);
}

function select(label, names, value, change) {
  const box = html(
    "select",
    { onchange: () => change(box.selectedIndex) },
    names.map((name) => html("option", {}, name)),
  );
  box.selectedIndex = value;
  return {
    node: html("label", { class: "field" }, label, box),
    set: (index) => {
      box.selectedIndex = index;
    },
  };
}

let groups = 0;
function choice(label, values, value, change, names = values) {
  const group = `choice-${++groups}`;
  const inputs = values.map((option) =>
    html("input", { type: "radio", name: group, value: String(option), onchange: () => change(option) }),
  );
  const set = (chosen) =>
    inputs.forEach((input, index) => {
      input.checked = values[index] === chosen;
    });
  set(value);
  const options = inputs.map((input, index) =>
    html("label", {}, input, html("span", {}, String(names[index]))),
  );
  return {
    node: html("fieldset", {}, html("legend", {}, label), html("div", { class: "options" }, options)),
    set,
  };
}

function toggle(label, value, change) {
  const box = html("input", { type: "checkbox", onchange: () => change(box.checked) });
  box.checked = value;
  return {
    node: html("label", { class: "toggle" }, box, label),
    set: (state) => {
      box.checked = state;
    },
  };
}

// A slider. With rowLength it goes over places in reading order: left and right move by one, down and up by a row of rowLength() places.
function slider(label, value, change, rowLength = null) {
  const bar = html("input", {
    type: "range",
    min: 0,
    step: 1,
    oninput: () => change(Number(bar.value)),
    onkeydown: (event) => {
      if (rowLength === null || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      event.preventDefault();
      const target = Number(bar.value) + (event.key === "ArrowDown" ? rowLength() : -rowLength());
      if (target >= 0 && target <= Number(bar.max)) {
        bar.value = target;
        change(target);
      }
    },
  });
  bar.value = value;
  const set = (next, max = bar.max, text = null) => {
    bar.max = max;
    bar.value = next;
    if (text) bar.setAttribute("aria-valuetext", text);
  };
  return { node: html("label", { class: "field grow" }, label, bar), set, bar };
}

// A number the reader types. What is no number, or out of range, is marked, changes nothing, and is put back on leaving.
// The visible label may be short; name says it in full to a screen reader.
function number(label, value, change, { min = null, max = null, whole = false, name = null } = {}) {
  let current = value;
  const read = () => {
    const typed = Number(box.value);
    const valid =
      box.value.trim() !== "" &&
      Number.isFinite(typed) &&
      (!whole || Number.isInteger(typed)) &&
      (min === null || typed >= min) &&
      (max === null || typed <= max);
    box.setAttribute("aria-invalid", String(!valid));
    if (!valid) return;
    current = typed;
    change(typed);
  };
  const box = html("input", {
    type: "number",
    min,
    max,
    step: whole ? 1 : "any",
    inputmode: whole ? "numeric" : "text",
    "aria-label": name,
    oninput: read,
    onblur: () => set(current),
  });
  const set = (next) => {
    current = next;
    box.value = next;
    box.setAttribute("aria-invalid", "false");
  };
  set(value);
  return { node: html("label", { class: "field" }, html("span", {}, label), box), set, box };
}

// ---- the frame ------------------------------------------------------------------------------------------------------

// The page says whether it is dark: the book's theme, JupyterLab, Colab, VS Code, and where none does the system.
function pageIsDark() {
  const page = document.documentElement,
    body = document.body;
  if (page.dataset.theme) return page.dataset.theme === "dark";
  if (body && body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  if (page.getAttribute("theme")) return page.getAttribute("theme") === "dark";
  if (body && /vscode-(light|dark)/.test(body.className)) return body.classList.contains("vscode-dark");
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function start(host, title, build, data) {
  const root = host.attachShadow({ mode: "open" });
  const body = html("div", {});
  const heading = html("p", { class: "title", id: "title" }, title);
  root.append(
    html("style", {}, STYLE),
    html("div", { class: "explorer", role: "group", "aria-labelledby": "title" }, heading, body),
  );

  // the book's theme lays every HTML output on a white card when it is dark; an explorer has its own dark colors
  const card = host.closest(".text_html");
  if (card) Object.assign(card.style, { background: "none", padding: "0" });

  const ui = {
    body,
    draw: () => {},
    dark: () => host.dataset.theme === "dark",
    width: () => Math.floor(body.clientWidth) || 600,
    calm: () => matchMedia("(prefers-reduced-motion: reduce)").matches,
    // what is on the page, as data attributes of the explorer: for tests, and for anyone who wants to read it out
    publish: (values) => {
      for (const [name, value] of Object.entries(values)) {
        host.dataset[name] = typeof value === "string" ? value : JSON.stringify(value);
      }
    },
  };
  const readTheme = () => {
    host.dataset.theme = pageIsDark() ? "dark" : "light";
  };
  readTheme();
  build(ui, data);
  ui.draw();
  host.dataset.ready = "true";

  const redrawInTheme = () => {
    const before = host.dataset.theme;
    readTheme();
    if (host.dataset.theme !== before) ui.draw();
  };
  const observer = new MutationObserver(redrawInTheme);
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, {
      attributes: true,
      attributeFilter: ["data-theme", "data-jp-theme-light", "theme", "class"],
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawInTheme);
  let width = ui.width();
  new ResizeObserver(() => {
    if (body.clientWidth && ui.width() !== width) {
      width = ui.width();
      ui.draw();
    }
  }).observe(body);
}

// A notebook may run the script before the output stands on the page, and may show one output twice.
function mount(id, title, build, data, tries = 100) {
  const host = [...document.querySelectorAll(`[id="${id}"]`)].find((node) => !node.shadowRoot);
  if (host) start(host, title, build, data);
  else if (tries > 0) setTimeout(mount, 50, id, title, build, data, tries - 1);
}
