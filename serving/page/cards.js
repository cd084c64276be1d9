/** Cards of moments, their pictures, and placeholders. */

import { findPictureUrl } from "./api.js";
import { make, makeIcon } from "./dom.js";
import { formatConfidence, formatScore, formatSpan } from "./format.js";

/** Return the picture of a video nearest to a time, with the text `badge` in its corner. */
export function makeThumb(video, timeS, badge = null) {
  const url = findPictureUrl(video, timeS);
  const thumb = make("span", { class: "thumb" });
  if (url) {
    const image = make("img", { src: url, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(makeIcon("video")));
    thumb.append(image);
  } else thumb.append(makeIcon("video"));
  if (badge) thumb.append(make("span", { class: "length", text: badge }));
  return thumb;
}

/** Return the card of a moment; `choose` is called with the moment. */
export function makeCard(moment, choose) {
  const middleS = (moment.start_s + moment.end_s) / 2;
  const length = `${(moment.end_s - moment.start_s).toFixed(1)} s`;
  const text = make(
    "span",
    { class: "card-text" },
    make("span", { class: "card-time", text: formatSpan(moment.start_s, moment.end_s) }),
    make("span", { class: "card-title", text: moment.title, title: moment.title }),
    makeScore(moment),
  );
  return make("button", { type: "button", class: "card", click: () => choose(moment) }, makeThumb(moment, middleS, length), text);
}

/** Return placeholder cards for an answer that is loading. */
export function makeSkeleton(count) {
  const card = () =>
    make(
      "li",
      { class: "card skeleton", "aria-hidden": "true" },
      make("span", { class: "thumb" }),
      make("span", { class: "card-text" }, make("span"), make("span")),
    );
  return make("ol", { class: "cards" }, ...Array.from({ length: count }, card));
}

function makeScore({ score, confidence }) {
  const scored = make("span", { text: `score ${formatScore(score)}` });
  if (confidence === null) return make("span", { class: "card-score" }, scored);
  const fill = make("i");
  fill.style.width = `${100 * confidence}%`;
  const percent = make("span", { text: formatConfidence(confidence) });
  percent.append(make("span", { class: "visually-hidden", text: " confidence" }));
  return make("span", { class: "card-score" }, make("span", { class: "meter", "aria-hidden": "true" }, fill), percent, scored);
}
