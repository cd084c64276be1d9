/** Sentences from the collection to begin with. */

import { request } from "./api.js";
import { make } from "./dom.js";

/** Return some sentences, none where the service has none or cannot say. */
export async function loadExamples(count) {
  try {
    const { examples } = await request("examples");
    return examples.slice(0, count);
  } catch {
    return []; // the page says elsewhere what is wrong with the service
  }
}

/** Put sentences into a list, which keeps no room for none; `choose` is called with the one that is clicked. */
export function fillExamples(list, sentences, choose) {
  list.hidden = !sentences.length;
  list.replaceChildren(
    ...sentences.map((sentence) => make("li", {}, make("button", { type: "button", text: sentence, click: () => choose(sentence) }))),
  );
}
