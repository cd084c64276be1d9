/** Example sentences of the collection. */

import { request } from "./api.js";
import { make } from "./dom.js";

/** Return some sentences, none if the service has none or does not answer. */
export async function loadExamples(count) {
  try {
    const { examples } = await request("examples");
    return examples.slice(0, count);
  } catch {
    return []; // other parts of the page report the failure
  }
}

/** Fill a list with sentences, or hide it if there are none; `choose` is called with a clicked sentence. */
export function fillExamples(list, sentences, choose) {
  list.hidden = !sentences.length;
  list.replaceChildren(
    ...sentences.map((sentence) => make("li", {}, make("button", { type: "button", text: sentence, click: () => choose(sentence) }))),
  );
}
