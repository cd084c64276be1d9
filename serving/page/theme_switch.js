/** Switches between light and dark. Without a choice the system decides; theme.js applies the choice on the next visit. */

import { find, setIcon } from "./dom.js";

/** Connect the theme button. */
export function startThemeSwitch() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  find("theme").addEventListener("click", () => {
    choose(isDark(system) ? "light" : "dark");
    show(system);
  });
  system.addEventListener("change", () => show(system));
  show(system);
}

function isDark(system) {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

function choose(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("cuepoint-theme", theme);
  } catch {
    // the browser may forbid storage; the choice then ends with the page
  }
}

function show(system) {
  find("theme").setAttribute("aria-pressed", String(isDark(system)));
  setIcon(find("theme"), isDark(system) ? "light" : "dark");
}
