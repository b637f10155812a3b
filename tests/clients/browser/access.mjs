// That everybody can use the pages: on small screens, enlarged, by keyboard, with a screen reader.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ask, button, call, origin, picture, require, SCOPES, somebody, window } from "./stage.mjs";

const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const UNBROKEN = "Averyveryverylongwordwithoutanyplacetobreakit_".repeat(4);
const MANY = [
  ...SCOPES,
  { key: "long", label: UNBROKEN, description: UNBROKEN, risk: "critical", reversible: false },
  { key: "hebrew", label: "שליחת דואר אלקטרוני", description: "שולח הודעות בשמך 🎉", risk: "medium" },
  ...Array.from({ length: 45 }, (_, i) => ({ key: `scope-${i}`, label: `Scope ${i}`, description: "One of many.", risk: "low" })),
];

/** One page of each kind. */
async function kinds(t) {
  const person = somebody();
  const open = await ask({ end_user_ref: person });
  const many = await ask({ end_user_ref: person, scopes: MANY.slice(0, 50) });
  const [approved, declined, revoked] = [await ask({ end_user_ref: person }), await ask(), await ask()];
  const page = await window(t);
  for (const [consent, name] of [[approved, "Approve"], [declined, "Decline"]]) {
    await page.goto(consent.consent_url);
    await button(page, name).click();
    await page.waitForURL(`${origin}/**`);
  }
  await call("DELETE", `/v1/consent/${revoked.id}`);
  const { url } = await call("GET", `/v1/consent/manage-url?end_user_ref=${person}`);
  const pages = { open, many, approved, declined, revoked, unknown: { consent_url: `${open.consent_url}x` } };
  return [...Object.entries(pages).map(([name, { consent_url }]) => [name, consent_url]), ["manage", url]];
}

/** In the page: text that does not fit beside, and the page if it can be scrolled sideways. */
function cutOff() {
  const { scrollWidth, clientWidth } = document.documentElement;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = scrollWidth > clientWidth ? ["the page"] : [];
  while (texts.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    const { left, right } = range.getBoundingClientRect();
    const isOnlyHeard = texts.currentNode.parentElement.closest(".heard");
    if (!isOnlyHeard && (left < 0 || right > clientWidth)) found.push(texts.currentNode.data);
  }
  return found;
}

for (const [size, viewport] of Object.entries({
  phone: { width: 390, height: 844 },
  desktop: { width: 1280, height: 900 },
  // A phone at 200 %, which is a screen half as wide.
  enlarged: { width: 195, height: 422 },
})) {
  for (const colorScheme of ["light", "dark"]) {
    test(`${size}, ${colorScheme}: nothing is cut off, and axe finds nothing`, async (t) => {
      const page = await window(t, { viewport, colorScheme });
      for (const [name, url] of await kinds(t)) {
        await page.goto(url);
        assert.deepEqual(await page.evaluate(cutOff), [], name);
        await page.evaluate(AXE);
        const { violations, incomplete, passes } = await page.evaluate(() => globalThis.axe.run());
        const said = (results) => results.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
        assert.deepEqual(said(violations), [], name);
        // What axe could not decide counts as much.
        assert.deepEqual(said(incomplete), [], name);
        assert.ok(passes.some(({ id }) => id === "color-contrast"), name);
        for (const control of await page.locator("button, a, summary").all()) {
          const { width, height } = await control.boundingBox();
          assert.ok(width >= 44 && height >= 44, `${name}: ${await control.textContent()} is ${width} by ${height}`);
        }
        await picture(page, `${size}-${colorScheme}-${name}`);
      }
    });
  }
}

test("both answers weigh the same", async (t) => {
  const page = await window(t);
  await page.goto((await ask()).consent_url);
  const look = (name) =>
    button(page, name).evaluate((element) => {
      const { width, height, y } = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      return [width, height, y, style.color, style.backgroundColor, style.border, style.font];
    });
  assert.deepEqual(await look("Approve"), await look("Decline"));
});

test("whatever has the focus shows it, and the focus goes down the page", async (t) => {
  const page = await window(t);
  for (const [name, url] of await kinds(t)) {
    await page.goto(url);
    let above = -1;
    const count = await page.locator("button, a, summary").count();
    for (let i = 0; i < count; i++) {
      await page.keyboard.press("Tab");
      const { outline, y } = await page.locator(":focus-visible").evaluate((element) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        return { outline: `${outlineStyle} ${outlineWidth}`, y: element.getBoundingClientRect().y + scrollY };
      });
      assert.equal(outline, "solid 3px", name);
      assert.ok(y >= above, name);
      above = y;
    }
  }
});

test("nothing moves", async (t) => {
  const page = await window(t);
  for (const [name, url] of await kinds(t)) {
    await page.goto(url);
    const moving = await page.evaluate(
      () => [...document.querySelectorAll("*")].map((element) => getComputedStyle(element)).filter((style) => style.animationName !== "none" || style.transitionDuration !== "0s").length,
    );
    assert.equal(moving, 0, name);
  }
});
