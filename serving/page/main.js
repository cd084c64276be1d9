/** Starts the page. */

import { request, useTokenPrompt } from "./api.js";
import { App } from "./app.js";
import { askForToken, showKeys } from "./dialogs.js";
import { find } from "./dom.js";
import { startKeyboard } from "./keyboard.js";
import { Library } from "./library.js";
import { Panel } from "./panel.js";
import { Results } from "./results.js";
import { SearchBox } from "./search_box.js";
import { startThemeSwitch } from "./theme_switch.js";
import { Uploads } from "./uploads.js";
import { showPurpose, showVersions } from "./versions.js";

async function start() {
  useTokenPrompt(askForToken);
  startThemeSwitch();
  const parts = { searchBox: new SearchBox(), results: new Results(), panel: new Panel(), library: new Library(), uploads: new Uploads() };
  startKeyboard(parts);
  find("show-keys").addEventListener("click", showKeys);
  new App(parts).start();
  const { versions, good_for: purpose } = await request("version");
  showVersions(versions);
  showPurpose(purpose);
  parts.results.namesModels = Boolean(purpose);
}

start().catch((error) => {
  if (!error.kind) throw error; // the page shows failed calls in place of their answers
});
