// The consent page, as people use it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, audited, button, call, origin, picture, returned, serve, settled, sister, statusOf, until, window } from "./stage.mjs";

const DECISIONS = [
  ["Approve", "approved", "You approved this request"],
  ["Decline", "declined", "You declined this request"],
];
const WITHDRAWN = "This request was withdrawn";
const EXPIRED = "This request has expired";

/** Waits for the application, and holds what it was sent: its own query, which consent and what became of it. */
async function back(page, id, status) {
  await page.waitForURL(`${origin}/**`);
  const [url, ...more] = returned(id);
  assert.deepEqual([...url.searchParams], [["own", "1"], ["consent_id", id], ["status", status]]);
  assert.equal(more.length, 0);
  assert.equal(await statusOf(id), status);
}

for (const [name, status, heading] of DECISIONS) {
  test(`${name} leads back to the application`, async (t) => {
    const { id, consent_url } = await ask({ end_user_email: "anna@example.org" });
    const page = await window(t);
    assert.equal((await page.goto(consent_url)).status(), 200);
    for (const text of ["anna@example.org", "Read your inbox", "Low risk", "High risk", "contacts.read"]) {
      await page.getByText(text, { exact: true }).waitFor();
    }
    assert.equal(await page.getByText("Cannot be undone").count(), 1);
    await picture(page, `pending-before-${status}`);
    await button(page, name).click();
    await back(page, id, status);

    assert.equal((await page.goto(consent_url)).status(), 200);
    await settled(page, heading);
    await picture(page, status);
    assert.deepEqual(page.complaints, []);
  });

  test(`${name}, then the back button`, async (t) => {
    const { id, consent_url } = await ask();
    const page = await window(t);
    await page.goto(consent_url);
    await button(page, name).click();
    await back(page, id, status);
    await page.goBack();
    assert.equal(page.url(), consent_url);
    await settled(page, heading);
  });

  test(`a double click on ${name} decides once`, async (t) => {
    const { id, consent_url } = await ask();
    const page = await window(t);
    await page.goto(consent_url);
    await button(page, name).dblclick();
    // Whichever of two clicks the browser goes on with.
    await Promise.race([page.waitForURL(`${origin}/**`), page.getByRole("status").waitFor()]);
    assert.equal(await statusOf(id), status);
    assert.equal((await audited(id, status)).length, 1);
    t.diagnostic(`ends at ${page.url().startsWith(origin) ? "the application" : "the page that says it was decided before"}`);
  });

  test(`${name} without JavaScript, by keyboard alone`, async (t) => {
    const { id, consent_url } = await ask();
    const page = await window(t, { javaScriptEnabled: false });
    await page.goto(consent_url);
    await page.keyboard.press("Tab");
    if (name === "Decline") await page.keyboard.press("Tab");
    const focused = page.locator(":focus-visible");
    assert.equal(await focused.textContent(), name);
    await picture(page, `focus-on-${name.toLowerCase()}`);
    await page.keyboard.press("Enter");
    await back(page, id, status);
  });
}

test("two windows decide differently, and the first one counts", async (t) => {
  const { id, consent_url } = await ask();
  const [first, second] = [await window(t), await window(t)];
  await Promise.all([first.goto(consent_url), second.goto(consent_url)]);
  await button(first, "Decline").click();
  await back(first, id, "declined");
  const answer = second.waitForResponse((response) => response.request().method() === "POST");
  await button(second, "Approve").click();
  assert.equal((await answer).status(), 409);
  await settled(second, "You declined this request");
  await second.getByRole("status").filter({ hasText: "That answer changed nothing." }).waitFor();
  await picture(second, "already-declined");
  assert.equal(await statusOf(id), "declined");
});

test("windows at once: one answer counts, every other is told", async (t) => {
  const { id, consent_url } = await ask();
  const windows = await Promise.all([1, 2, 3, 4].map(() => window(t)));
  await Promise.all(windows.map((page) => page.goto(consent_url)));
  const answered = (page) => page.waitForResponse((response) => response.request().method() === "POST");
  const statuses = await Promise.all(
    windows.map(async (page, i) => {
      const [response] = await Promise.all([answered(page), button(page, i % 2 ? "Approve" : "Decline").click()]);
      return response.status();
    }),
  );
  assert.deepEqual(statuses.sort(), [303, 409, 409, 409]);
  const rows = [...(await audited(id, "approved")), ...(await audited(id, "declined"))];
  assert.equal(rows.length, 1);
});

for (const [what, settle, title] of [
  ["expires", (id) => until(id, "expired"), EXPIRED],
  ["is revoked", (id) => call("DELETE", `/v1/consent/${id}`), WITHDRAWN],
]) {
  test(`a request that ${what} while the page is open cannot be approved`, async (t) => {
    const { id, consent_url } = await ask(what === "expires" ? { expires_in: 2 } : {});
    const page = await window(t);
    await page.goto(consent_url);
    await settle(id);
    const answer = page.waitForResponse((response) => response.request().method() === "POST");
    await button(page, "Approve").click();
    assert.equal((await answer).status(), 410);
    await settled(page, title);
    assert.equal((await page.goto(consent_url)).status(), 410);
    await settled(page, title);
    await picture(page, what.split(" ").at(-1));
    assert.equal(returned(id).length, 0);
  });
}

test("no such request", async (t) => {
  const { consent_url } = await ask();
  const page = await window(t);
  assert.equal((await page.goto(`${consent_url}x`)).status(), 404);
  await settled(page, "There is no such request");
  await picture(page, "unknown");
});

test("what others wrote is shown and never run", async (t) => {
  const hostile = `<script>alert(1)</script><img src="${origin}/leak" onerror="alert(2)">'"><style>*{display:none}</style>`;
  const name = `<img src=x onerror=alert(3)>`;
  const agent = await call("POST", "/v1/consent-agents", { name });
  const scopes = [{ key: "k", label: hostile, description: hostile }];
  const { id, consent_url } = await ask({ agent_id: agent.id, end_user_ref: hostile, scopes });
  const manage = await call("GET", `/v1/consent/manage-url?end_user_ref=${encodeURIComponent(hostile)}`);
  const page = await window(t);
  const requests = [];
  page.on("request", (request) => requests.push(new URL(request.url()).pathname));
  await page.goto(consent_url);
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), `${name} asks for your permission`);
  assert.equal(await page.getByRole("heading", { level: 3 }).textContent(), hostile);
  assert.equal(await page.getByText(hostile, { exact: true }).count(), 3);
  await picture(page, "hostile");
  await page.goto(manage.url);
  assert.equal(await page.getByRole("heading", { level: 2 }).textContent(), name);
  assert.equal(await page.getByText(hostile, { exact: true }).count(), 2);
  assert.deepEqual(requests, [`/c/${id}`, "/pages/style.css", new URL(manage.url).pathname, "/pages/style.css"]);
  assert.deepEqual(page.complaints, []);
});

test("another site cannot frame the page", async (t) => {
  const { id, consent_url } = await ask();
  const page = await window(t);
  await page.goto(serve("/frame", `<!doctype html><title>Win a prize</title><iframe src="${consent_url}" width="800" height="800"></iframe>`));
  const frame = page.frames().find((frame) => frame !== page.mainFrame());
  await frame.waitForLoadState();
  assert.doesNotMatch(await frame.content(), /Approve|csrf/);
  assert.ok(page.complaints.some((text) => text.includes("frame-ancestors")), String(page.complaints));
  await picture(page, "framed");
  assert.equal(await statusOf(id), "pending");
});

for (const [what, csrf] of [
  ["no token", ""],
  ["the token of another page", "other"],
  // As whoever has the link can fetch it.
  ["the token of its very page", "own"],
]) {
  test(`another site's form with ${what} decides nothing`, async (t) => {
    const { id, consent_url } = await ask();
    const page = await window(t);
    let input = "";
    if (csrf) {
      await page.goto(csrf === "own" ? consent_url : (await ask()).consent_url);
      input = `<input name=csrf value="${await page.locator("[name=csrf]").inputValue()}">`;
    }
    const path = `/forged-${csrf}`;
    await page.goto(serve(path, `<!doctype html><form method=post action="${consent_url}">${input}<button name=decision value=approve>Win</button></form>`));
    const answer = page.waitForResponse((response) => response.request().method() === "POST");
    await button(page, "Win").click();
    assert.equal((await answer).status(), 403);
    await settled(page, "Please open the link again");
    await picture(page, "forged");
    assert.equal(await statusOf(id), "pending");
  });
}

test("an application that leads people on to another origin", async (t) => {
  const path = serve("/on", (response, { search }) => response.writeHead(303, { location: `${sister}/end${search}` }).end());
  const { id, consent_url } = await ask({ redirect_url: path });
  const page = await window(t);
  await page.goto(consent_url);
  await button(page, "Approve").click();
  await page.waitForURL(`${sister}/end?consent_id=${id}&status=approved`);
  assert.equal(await statusOf(id), "approved");
});
