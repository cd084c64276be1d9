/** Elements of the page. Text is inserted as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Return the element of the page with this id. */
export function find(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element with the id ${id}`);
  return element;
}

/** Return a new element. `attributes` are set unchanged, except `text`, and functions, which become listeners by their name. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return a new element of an SVG drawing. */
export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Return one of the icons of index.html; screen readers do not read it. */
export function makeIcon(name) {
  const icon = makeSvg("svg", { class: "icon", "aria-hidden": "true" });
  icon.append(makeSvg("use", { href: `#icon-${name}` }));
  return icon;
}

/** Show another icon inside a button. */
export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#icon-${name}`);
}

/** Announce a text to screen readers. */
export function announce(text) {
  find("announcer").textContent = text;
}
