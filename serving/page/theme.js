/** Applies the visitor's theme before the first paint. Without a choice, the system's theme applies. */
"use strict";

(() => {
  try {
    const chosen = localStorage.getItem("cuepoint-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // the browser may forbid storage; the system's theme then applies
  }
})();
