/** The search box, with the video that limits the search. */

import { find } from "./dom.js";

/** Fires `search` with the sentence, `widen` to search all videos again. */
export class SearchBox extends EventTarget {
  #query = find("query");

  constructor() {
    super();
    find("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    find("scope-clear").addEventListener("click", () => this.dispatchEvent(new Event("widen")));
  }

  /** Show the query. */
  show(query) {
    if (this.#query.value.trim() !== query) this.#query.value = query;
  }

  /** Show the title of the only video to search in, `null` for all. */
  showScope(title) {
    find("scope").hidden = title === null;
    find("scope-title").textContent = find("scope-title").title = title ?? "";
    this.#query.placeholder = title === null ? "Describe a moment" : "Describe a moment in it";
  }

  focus() {
    this.#query.focus();
  }

  #submit() {
    const query = this.#query.value.trim();
    if (!query) return this.focus();
    if (matchMedia("(pointer: coarse)").matches) this.#query.blur(); // the keyboard of a phone covers the answer
    return this.dispatchEvent(new CustomEvent("search", { detail: query }));
  }
}
