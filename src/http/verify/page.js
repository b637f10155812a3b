// The page: hands files and what is trusted to the worker, and shows what it says. All text goes through `textContent`.

const ROWS = 200;
const DECISIONS = ["allow", "confirm", "escalate", "deny", "authorization_granted", "authorization_revoked", "escalation_approved", "escalation_rejected"];

const at = (id) => document.getElementById(id);
// The policy of the page forbids to make a script of a text; this is the one that may be.
const trusted = globalThis.trustedTypes?.createPolicy("verify", { createScriptURL: () => "/verify/worker.js" });
const worker = new Worker(trusted?.createScriptURL("") ?? "/verify/worker.js", { type: "module" });

let files = [];
let job = 0;
let shown = 0;
let total = 0;

function element(tag, text = "", className = "") {
  const out = document.createElement(tag);
  out.textContent = text;
  out.className = className;
  return out;
}

const words = (text) => text.split(/[\s,]+/).filter((word) => word !== "");

/** What the form says, or the sentence that says what is wrong with it. */
function options() {
  const [ids, witnesses, workspace, quorum] = [words(at("trust").value), words(at("witnesses").value), at("workspace").value.trim(), Number(at("quorum").value)];
  const strange = ids.find((id) => !/^key_[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id));
  if (strange !== undefined) return `“${strange}” is no fingerprint: key_ and 26 digits and capitals.`;
  const witness = witnesses.find((vkey) => !/^[^+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/i.test(vkey));
  if (witness !== undefined) return `“${witness}” is no verifier key of a witness.`;
  if (workspace !== "" && !/^ws_[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(workspace)) return `“${workspace}” is no id of a workspace.`;
  if (!Number.isSafeInteger(quorum) || quorum < 0 || quorum > witnesses.length) return "Name at least as many witnesses as must have cosigned.";
  return { trust: ids.length > 0 ? ids : null, witnesses, quorum, workspace: workspace || null };
}

function verify() {
  job += 1;
  at("verdict").hidden = at("story").hidden = at("progress").hidden = true;
  listFiles();
  const said = options();
  at("form-error").textContent = typeof said === "string" ? said : "";
  if (files.length === 0 || typeof said === "string") return;
  at("progress").removeAttribute("value");
  at("progress").hidden = false;
  worker.postMessage({ job, files, options: said });
}

function listFiles() {
  at("chosen").replaceChildren(...files.map((file) => element("li", `${file.name}, ${file.size.toLocaleString("en")} bytes`)));
  at("clear").hidden = files.length === 0;
}

/** Files that belong together may come one after the other; the worker says which of them count. */
function choose(chosen) {
  files = [...files, ...chosen];
  verify();
}

function showVerdict({ state, title, sentence, details }) {
  at("progress").hidden = true;
  at("verdict").className = state;
  at("verdict-title").textContent = title;
  at("verdict-sentence").textContent = sentence;
  at("details").replaceChildren(listOf(details));
  at("verdict").hidden = false;
  at("story-title").textContent = state === "refused" ? "Read before the fault, and not proven" : "The story";
  at("rows").replaceChildren();
  shown = 0;
  if (total > 0) askForRows();
}

function askForRows() {
  worker.postMessage({ job, from: shown, to: shown + ROWS });
}

function showRows(rows) {
  shown += rows.length;
  at("rows").append(...rows.map(rowElement));
  at("next").hidden = shown >= total;
  at("story").hidden = false;
}

function rowElement(row) {
  if (row.hidden !== undefined) {
    return element("li", row.hidden === 1 ? "1 record of another matter, hidden" : `${row.hidden} records of other matters, hidden`, "hidden");
  }
  const out = element("li");
  const meta = element("p", row.index === undefined ? "" : `record ${row.index} · `, "meta");
  const time = element("time", row.time.replace("T", " ").replace("Z", " UTC"));
  time.dateTime = row.time;
  meta.append(time);
  const what = element("p", row.what);
  if (row.decision !== null) what.append(": ", element("span", row.decision, `decision ${DECISIONS.includes(row.decision) ? row.decision : ""}`));
  if (row.reason !== null) what.append(` (${row.reason})`);
  out.append(meta, what);
  if (row.facts.length > 0) out.append(listOf(row.facts));
  if (row.more.length > 0) {
    const details = element("details");
    details.append(element("summary", "More"), listOf(row.more));
    out.append(details);
  }
  return out;
}

/** Names and texts. */
function listOf(pairs) {
  const out = element("dl");
  out.append(...pairs.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  return out;
}

worker.addEventListener("message", ({ data }) => {
  if (data.job !== job) return;
  if (data.rows !== undefined) showRows(data.rows);
  else if (data.verdict !== undefined) {
    total = data.total;
    files = files.filter((_, place) => data.used.includes(place));
    listFiles();
    showVerdict(data.verdict);
  } else {
    at("progress").max = data.size;
    at("progress").value = data.read;
  }
});
worker.addEventListener("error", () => (at("form-error").textContent = "The verifier could not be loaded: is this browser up to date?"));

for (const id of ["trust", "witnesses", "workspace", "quorum"]) at(id).addEventListener("change", verify);
at("form").addEventListener("submit", (event) => event.preventDefault());
at("files").addEventListener("change", (event) => {
  choose(event.target.files);
  event.target.value = "";
});
at("clear").addEventListener("click", () => {
  files = [];
  verify();
});
at("next").addEventListener("click", askForRows);
// A file that misses the field must not make the browser leave the page.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
document.addEventListener("dragover", () => at("drop").classList.add("over"));
document.addEventListener("dragleave", (event) => event.relatedTarget === null && at("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  at("drop").classList.remove("over");
  choose(event.dataTransfer.files);
});
