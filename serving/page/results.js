/** The ranked moments of an answer, and what stands in their place: loading, nothing found, a problem. */

import { isSameMoment } from "./address.js";
import { makeCard, makeSkeleton } from "./cards.js";
import { announce, find, make } from "./dom.js";
import { formatCount, formatTook } from "./format.js";
import { makeNotice, makeProblem } from "./notices.js";

const NUM_SKELETONS = 6;

/** Fires `choose` with the moment of a card. */
export class Results extends EventTarget {
  #place = find("results");
  #moments = [];

  /** Show that an answer is on its way; the last one stays until then. */
  showLoading(query) {
    this.#head(query, "Searching …");
    this.#place.setAttribute("aria-busy", "true");
    if (!this.#moments.length) this.#fill(makeSkeleton(NUM_SKELETONS));
  }

  /** Show an answer: its moments, or that there are none and the best guess. */
  showAnswer(answer, scopeTitle) {
    this.#moments = answer.found ? answer.moments : [answer.best_guess].filter(Boolean);
    const found = answer.found ? formatCount(answer.moments.length, "moment") : "Not found";
    this.#head(answer.query, `${found} · ${formatTook(answer.took_ms)}`);
    const cards = make("ol", { class: "cards", "aria-label": answer.found ? "Moments, best first" : "Best guess" });
    for (const moment of this.#moments) cards.append(make("li", {}, makeCard(moment, (chosen) => this.#choose(chosen))));
    const notFound = answer.found ? null : makeNotFound(answer, scopeTitle);
    this.#fill(notFound, makeUnknownWords(answer.unknown_words), answer.best_guess && makeGuessLabel(), cards);
    announce(answer.found ? `${found} found.` : "No moment found. The best guess is shown.");
  }

  /** Show what can be done with a video that nothing was asked about yet. */
  showPrompt(title, makeExamples) {
    this.#moments = [];
    this.#head(null, "");
    find("answer-heading").textContent = title;
    const prompt = make(
      "div",
      { class: "prompt" },
      make("h2", { text: "Search in this video" }),
      make("p", { text: "Describe what happens in it, and the seconds that answer are found and played." }),
      makeExamples(),
    );
    this.#fill(prompt);
  }

  /** Show why there is no answer. */
  showProblem(query, error, retry) {
    this.#moments = [];
    this.#head(query, "");
    this.#fill(makeProblem(error, retry), { only: "notice" });
  }

  /** Show that a video of the address is not there. */
  showMissing(query, text, action) {
    this.#moments = [];
    this.#head(query, "");
    this.#fill(makeNotice({ icon: "video", title: "This video is not here", text, action }), { only: "notice" });
    announce(`This video is not here. ${text}`);
  }

  /** Mark the card of the moment that is shown. */
  mark(moment) {
    this.#cards.forEach((card, index) => {
      if (isSameMoment(this.#moments[index], moment)) card.setAttribute("aria-current", "true");
      else card.removeAttribute("aria-current");
    });
  }

  /** Move the focus to the next card, or the one before; return whether there is one. */
  step(direction) {
    const cards = this.#cards;
    const focused = cards.indexOf(document.activeElement);
    const chosen = cards.findIndex((card) => card.hasAttribute("aria-current"));
    const next = focused >= 0 ? focused + direction : Math.max(chosen, 0);
    if (!cards.length || next < 0) return false;
    cards[Math.min(next, cards.length - 1)].focus();
    return true;
  }

  get #cards() {
    return [...this.#place.querySelectorAll("button.card")];
  }

  #choose(moment) {
    this.dispatchEvent(new CustomEvent("choose", { detail: moment }));
  }

  #head(query, facts) {
    find("answer-heading").replaceChildren(...(query ? [make("q", { text: query })] : []));
    find("answer-facts").textContent = facts;
  }

  #fill(...content) {
    const options = content.at(-1) instanceof Node || content.at(-1) === null ? {} : content.pop();
    find("answer-body").dataset.only = options.only ?? "";
    this.#place.setAttribute("aria-busy", "false");
    this.#place.replaceChildren(...content.filter((child) => child !== null));
  }
}

function makeUnknownWords(words) {
  if (!words.length) return null;
  const note = make("p", { class: "note", text: words.length === 1 ? "The models do not know the word " : "The models do not know the words " });
  words.forEach((word, index) => note.append(...(index ? [", "] : []), make("b", { text: word })));
  note.append(words.length === 1 ? "; it was left out." : "; they were left out.");
  return note;
}

function makeNotFound(answer, scopeTitle) {
  const where = scopeTitle ? `in “${scopeTitle}”` : "in the collection";
  const text = `Nothing ${where} answers this sentence well enough.${answer.best_guess ? " This comes closest." : ""}`;
  return make("div", { class: "not-found" }, make("h2", { text: "No moment found" }), make("p", { text }));
}

function makeGuessLabel() {
  return make("h3", { class: "label", text: "Best guess" });
}
