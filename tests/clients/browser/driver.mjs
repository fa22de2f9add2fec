// A browser that a test drives: each line of the input is the body of a function, each line of the output its result.
// In scope: page, now() for the newest one, context, browser, open(options), faults (errors and warnings of the console,
// and of scripts), axe (the text of axe-core).
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
const faults = [];
let context, page;

/** Open a page with these options of a browser context; the one before is closed. */
async function open(options = {}) {
  await context?.close();
  faults.length = 0;
  context = await browser.newContext(options);
  page = await context.newPage();
  page.setDefaultTimeout(45_000);
  page.setDefaultNavigationTimeout(45_000);
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) faults.push(message.text()); });
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(event.violatedDirective));
  });
}

await open();
const Act = (async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    const act = new Act("page", "context", "browser", "open", "faults", "axe", "now", JSON.parse(line));
    result = { value: await act(page, context, browser, open, faults, axe, () => page) };
  } catch (error) {
    result = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
await browser.close();
