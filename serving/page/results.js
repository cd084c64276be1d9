/** The ranked moments of an answer, or a state in their place: loading, nothing found, a problem. */

import { isSameMoment } from "./address.js";
import { makeCard, makeSkeleton } from "./cards.js";
import { announce, find, make } from "./dom.js";
import { formatCount, formatTook } from "./format.js";
import { makeNotice, makeProblem } from "./notices.js";

const NUM_SKELETONS = 6;
const NUM_CLASSES = 5;
const VERDICTS = {
  not_found: {
    facts: "Not found",
    title: "No moment found",
    announced: "No moment found. The best guess is shown.",
    explain: (where) => `No moment ${where} fits this sentence well enough.`,
  },
  unsure: {
    facts: "Unsure",
    title: "Not sure whether it is here",
    announced: "Not sure whether it is here. The closest moments are shown.",
    explain: (where) => `The models cannot tell whether a moment ${where} fits this sentence.`,
  },
};

/** Fires `choose` with the moment of a card. */
export class Results extends EventTarget {
  #place = find("results");
  #moments = [];
  namesModels = false; // in every answer; true for models that were not trained on this collection

  /** Show that an answer is loading; the last one stays until then. */
  showLoading(query) {
    this.#head(query, "Searching …");
    this.#place.setAttribute("aria-busy", "true");
    if (!this.#moments.length) this.#fill(makeSkeleton(NUM_SKELETONS));
  }

  /** Show an answer: its verdict, and its moments or the best guess. */
  showAnswer(answer, scopeTitle) {
    const { best_guess: guess, verdict } = answer;
    this.#moments = guess ? [guess] : answer.moments;
    const facts = answer.found ? formatCount(answer.moments.length, "moment") : VERDICTS[verdict].facts;
    this.#head(answer.query, `${facts} · ${formatTook(answer.took_ms)}`);
    const cards = make("ol", { class: "cards", "aria-label": guess ? "Best guess" : "Moments, best first" });
    for (const moment of this.#moments) cards.append(make("li", {}, makeCard(moment, (chosen) => this.#choose(chosen))));
    const told = answer.found ? null : makeVerdict(answer, scopeTitle);
    const notes = [makeUnknownWords(answer.unknown_words), this.namesModels ? makeModels(answer) : null];
    this.#fill(told, ...notes, guess && makeGuessLabel(), cards);
    announce(answer.found ? `${facts} found.` : VERDICTS[verdict].announced);
  }

  /** Invite to search in a video without a query. */
  showPrompt(title, makeExamples) {
    this.#moments = [];
    this.#head(null, "");
    find("answer-heading").textContent = title;
    const prompt = make(
      "div",
      { class: "prompt" },
      make("h2", { text: "Search in this video" }),
      make("p", { text: "Describe what happens in it. Cuepoint finds and plays the matching seconds." }),
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

  /** Show that a video of the address does not exist. */
  showMissing(query, text, action) {
    this.#moments = [];
    this.#head(query, "");
    this.#fill(makeNotice({ icon: "video", title: "Video not found", text, action }), { only: "notice" });
    announce(`Video not found. ${text}`);
  }

  /** Mark the card of the shown moment. */
  mark(moment) {
    this.#cards.forEach((card, index) => {
      if (isSameMoment(this.#moments[index], moment)) card.setAttribute("aria-current", "true");
      else card.removeAttribute("aria-current");
    });
  }

  /** Move the focus to the next or previous card; return whether there is one. */
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

/** Name the models that answered and, if they answer by class names, the classes with a note on their reliability. */
function makeModels({ basis, reason, versions: { model_name: models, model_revision: revision } }) {
  const note = make("p", { class: "note" }, "Answered by ", make("b", { text: models }), revision ? ` at ${revision}` : "");
  if (!basis) return note;
  note.append(basis.classes.length ? ", by " : ", by no class");
  basis.classes.slice(0, NUM_CLASSES).forEach(({ name, weight }, index) => {
    note.append(...(index ? [", "] : []), make("b", { text: name }), ` ${Math.round(100 * weight)} %`);
  });
  note.append(reason ? "." : `. ${basis.note}`); // the reason of an unsure answer repeats the note
  return note;
}

function makeVerdict({ verdict, reason, moments, best_guess: guess }, scopeTitle) {
  const where = scopeTitle ? `in “${scopeTitle}”` : "in the collection";
  const closest = guess || moments.length === 1 ? "This one comes closest." : moments.length ? "These moments come closest." : "";
  const { title, explain } = VERDICTS[verdict];
  const text = [explain(where), closest].filter(Boolean).join(" ");
  const why = reason && make("p", { class: "reason", text: reason });
  return make("div", { class: "verdict", "data-verdict": verdict }, make("h2", { text: title }), make("p", { text }), why || null);
}

function makeGuessLabel() {
  return make("h3", { class: "label", text: "Best guess" });
}
