// The page of a person's permissions, as people use it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, audited, button, call, origin, picture, serve, settled, somebody, statusOf, window } from "./stage.mjs";

const linkOf = async (person) => (await call("GET", `/v1/consent/manage-url?end_user_ref=${encodeURIComponent(person)}`)).url;
const consents = (page) => page.getByRole("list", { name: "Your requests and permissions" }).locator("> li");
const revoke = (page) => page.getByRole("button", { name: /^Revoke permission of .+, asked for on / });

/** A consent that somebody has approved on its page. */
async function approved(test, person, more = {}) {
  const consent = await ask({ end_user_ref: person, ...more });
  const page = await window(test);
  await page.goto(consent.consent_url);
  await button(page, "Approve").click();
  await page.waitForURL(`${origin}/**`);
  return consent;
}

for (const javaScriptEnabled of [true, false]) {
  test(`one permission of two is revoked, ${javaScriptEnabled ? "with" : "without"} JavaScript`, async (t) => {
    const person = somebody();
    const kept = await approved(t, person);
    const given = await approved(t, person, { scopes: [{ key: "calendar.write", label: "Change your calendar" }] });
    const page = await window(t, { javaScriptEnabled });
    const url = await linkOf(person);
    assert.equal((await page.goto(url)).status(), 200);
    assert.equal(await consents(page).count(), 2);
    await picture(page, "manage");
    // Newest first.
    const newest = consents(page).first();
    await newest.getByText("Change your calendar").waitFor();
    await revoke(newest).focus();
    await page.keyboard.press("Enter");
    await page.getByText("Revoked on this page").waitFor();
    assert.equal(await consents(page).first().getByRole("button").count(), 0);
    assert.equal(await revoke(page).count(), 1);
    await picture(page, "manage-revoked");
    assert.deepEqual([await statusOf(given.id), await statusOf(kept.id)], ["revoked", "approved"]);
    assert.equal((await page.goto(given.consent_url)).status(), 410);
    await settled(page, "This permission was revoked");
    await picture(page, "permission-revoked");
  });
}

test("a double click revokes once", async (t) => {
  const person = somebody();
  const { id } = await approved(t, person);
  const page = await window(t);
  await page.goto(await linkOf(person));
  await revoke(page).dblclick();
  await page.getByText("Revoked on this page").waitFor();
  assert.equal(await statusOf(id), "revoked");
  assert.equal((await audited(id, "revoked")).length, 1);
});

test("what is not approved has no button, and its history says why", async (t) => {
  const person = somebody();
  const declined = await ask({ end_user_ref: person });
  const page = await window(t);
  await page.goto(declined.consent_url);
  await button(page, "Decline").click();
  await page.waitForURL(`${origin}/**`);
  const withdrawn = await ask({ end_user_ref: person });
  await call("DELETE", `/v1/consent/${withdrawn.id}`);
  await ask({ end_user_ref: person });
  await page.goto(await linkOf(person));
  const texts = await consents(page).allInnerTexts();
  assert.equal(texts.length, 3);
  for (const [i, [status, history]] of [["Waiting for your answer", ""], ["Revoked", "Revoked by"], ["Declined", ": Declined"]].entries()) {
    assert.ok(texts[i].includes(status) && texts[i].includes(history), texts[i]);
  }
  assert.equal(await page.getByRole("button").count(), 0);
  await picture(page, "manage-history");
});

test("more than fifty go on over the page", async (t) => {
  const person = somebody();
  for (let i = 0; i < 51; i++) await ask({ end_user_ref: person, scopes: [{ key: `scope-${i}` }] });
  const page = await window(t);
  await page.goto(await linkOf(person));
  assert.equal(await consents(page).count(), 50);
  await consents(page).first().getByText("scope-50", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Show older ones" }).click();
  await page.getByText("scope-0", { exact: true }).waitFor();
  assert.equal(await consents(page).count(), 1);
  await page.getByRole("link", { name: "Back to the newest" }).click();
  await page.getByText("scope-50", { exact: true }).waitFor();
});

test("nobody has asked", async (t) => {
  const page = await window(t);
  await page.goto(await linkOf(somebody()));
  await page.getByText("There is nothing here.").waitFor();
  await picture(page, "manage-empty");
});

test("a link that is none of ours", async (t) => {
  const page = await window(t);
  const url = await linkOf(somebody());
  assert.equal((await page.goto(url.replace(/[^/]+$/, "bad"))).status(), 404);
  await settled(page, "This link does not work");
  await picture(page, "manage-unknown");
});

test("another site's form revokes nothing", async (t) => {
  const person = somebody();
  const { id } = await approved(t, person);
  const url = await linkOf(person);
  const page = await window(t);
  const form = `<!doctype html><form method=post action="${url}/revoke"><input name=consent_id value="${id}"><button>Win</button></form>`;
  await page.goto(serve("/forged-revoke", form));
  const answer = page.waitForResponse((response) => response.request().method() === "POST");
  await button(page, "Win").click();
  assert.equal((await answer).status(), 403);
  assert.equal(await statusOf(id), "approved");
});
