/** What is served: model, index and variant, at the foot of the page. */

import { find, make } from "./dom.js";

const NUM_DIGITS = 12;

/** Show what an answer came from. */
export function showVersions({ model, index, variant }) {
  const name = (text) => make("code", { text: text.slice(0, NUM_DIGITS), title: text });
  find("versions").replaceChildren("Model ", name(model), " · Index ", name(index), ` · ${variant}`);
}
