/** The served versions at the foot of the page: model, index and variant. */

import { find, make } from "./dom.js";

const NUM_DIGITS = 12;

/** Show the versions behind an answer. */
export function showVersions({ model, model_name: named, model_revision: revision, index, variant }) {
  const name = (text) => make("code", { text: text.slice(0, NUM_DIGITS), title: text });
  const published = revision && !model.startsWith(revision) ? ` ${revision.slice(0, NUM_DIGITS)}` : "";
  const models = make("b", { text: named });
  find("versions").replaceChildren("Models ", models, `${published} · `, name(model), " · Index ", name(index), ` · ${variant}`);
}

/** Show what the models find and what they do not, if the bundle states it. */
export function showPurpose(text) {
  find("purpose").textContent = text;
  find("purpose").hidden = !text;
}
