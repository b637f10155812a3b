// What the tests share: a browser, the API that asks for consents, and the application that people are sent back to.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after } from "node:test";

export const require = createRequire(join(process.env.BROWSER_MODULES, "/"));
const { chromium } = require("playwright-core");

const { ALLOWLOG_URL, ALLOWLOG_API_KEY, CHROMIUM, SCREENSHOTS } = process.env;

// A browser that talks to nobody but the servers of the test.
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

// The application, and another server of its owner. They keep what they were sent, and show what a test has them show.
const arrived = [];
const shown = new Map();
async function listen() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/favicon.ico") return response.writeHead(204).end();
    const answer = shown.get(url.pathname);
    if (typeof answer === "function") return answer(response, url);
    arrived.push(url);
    response.writeHead(200, { "content-type": "text/html" });
    response.end(answer ?? "<!doctype html><title>Application</title><h1>Back at the application</h1>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
const servers = [await listen(), await listen()];
export const [origin, sister] = servers.map((server) => `http://localhost:${server.address().port}`);

after(async () => {
  await browser.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** Has the application answer at `path` with this document, or as this function does. */
export function serve(path, answer) {
  shown.set(path, answer);
  return origin + path;
}

/** What the application was sent about a consent. */
export const returned = (id) => arrived.filter((url) => url.searchParams.get("consent_id") === id);

/** Calls the API; `data` of the answer. */
export async function call(method, path, body) {
  const headers = { authorization: `Bearer ${ALLOWLOG_API_KEY}`, accept: "application/json", "content-type": "application/json" };
  const response = await fetch(ALLOWLOG_URL + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text).data;
}

export const SCOPES = [
  { key: "mail.read", label: "Read your inbox", description: "Looks for invoices of the last 30 days.", risk: "low" },
  { key: "mail.send", label: "Send email in your name", description: "Answers people in your address book.", risk: "HIGH", reversible: false },
  { key: "contacts.read" },
];
let people = 0;
/** Somebody nobody has asked anything yet. */
export const somebody = () => `user-${process.pid}-${++people}`;

/** A consent that somebody is asked for. */
export function ask(more = {}) {
  return call("POST", "/v1/consent/request", { end_user_ref: somebody(), scopes: SCOPES, redirect_url: `${origin}/done?own=1`, ...more });
}

export const statusOf = async (id) => (await call("GET", `/v1/consent/${id}`)).status;

/** Rows of the audit list about a consent. */
export const audited = (id, type) => call("GET", `/v1/audit?consent_id=${id}&event_type=${type}`);

/** Asks until the consent has this status. */
export async function until(id, status) {
  const deadline = AbortSignal.timeout(20_000);
  while ((await statusOf(id)) !== status) deadline.throwIfAborted();
}

/** A window of its own, closed with the test. What goes wrong in it is in `complaints`. */
export async function window(test, options = {}) {
  const context = await browser.newContext(options);
  test.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("dialog", (dialog) => page.complaints.push(dialog.message()) && dialog.dismiss());
  page.on("console", (message) => page.complaints.push(message.text()));
  return page;
}

export const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Holds that a page says this and asks for nothing. */
export async function settled(page, title) {
  assert.equal(await page.title(), title);
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), title);
  assert.equal(await page.locator("form, button, input").count(), 0);
}

/** Keeps a picture of the page if anybody wants pictures. */
export async function picture(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}
