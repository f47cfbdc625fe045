// node browser.mjs MODULES PAGE FOLDER: what a person meets in a page, in a headless Chromium.
//
// MODULES holds node_modules. Screenshots go into FOLDER; what is found is printed as JSON.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, file, folder] = process.argv.slice(2).map((each) => path.resolve(each));
const require = createRequire(path.join(modules, "package.json"));
const imported = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const chromium = await imported("@sparticuz/chromium");
const puppeteer = await imported("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const VIEWS = {
  desktop: { width: 1280, height: 800, scheme: "light" },
  phone: { width: 390, height: 844, scheme: "light", isMobile: true, hasTouch: true },
  dark: { width: 1280, height: 800, scheme: "dark" },
  "dark-phone": { width: 390, height: 844, scheme: "dark", isMobile: true, hasTouch: true },
};

const browser = await puppeteer.launch({
  args: [...chromium.args, "--no-sandbox"],
  executablePath: await chromium.executablePath(),
  headless: "shell",
});
const found = { requests: [], errors: [], views: {} };

async function opened({ width, height, scheme, ...touch }, script = true) {
  const page = await browser.newPage();
  await page.setBypassCSP(false);
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width, height, ...touch });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) found.requests.push(request.url());
  });
  page.on("console", (message) => found.errors.push(message.text()));
  page.on("pageerror", (error) => found.errors.push(String(error)));
  page.on("dialog", (dialog) => { found.errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(pathToFileURL(file), { waitUntil: "load" });
  return page;
}

for (const [name, view] of Object.entries(VIEWS)) {
  const page = await opened(view);
  await page.evaluate(() => { for (const each of document.querySelectorAll("details")) each.open = true; });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  await page.evaluate(() => { for (const each of document.querySelectorAll("details")) each.open = false; });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
  await page.screenshot({ path: path.join(folder, `${name}-whole.png`), fullPage: true });
  found.views[name] = {
    violations: violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((n) => n.html.slice(0, 200)) })),
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    broken: await page.evaluate(() => [...document.images].filter((each) => !each.naturalWidth).length),
  };
  await page.close();
}

const page = await opened(VIEWS.desktop);
found.headings = await page.evaluate(() =>
  [...document.querySelectorAll("h1, h2, h3, h4")].map((each) => Number(each.tagName[1])));
found.slider = await page.$(".stage input[type=range]") && await (async () => {
  const state = () => page.evaluate(() => {
    const slider = document.querySelector(".stage input[type=range]");
    const made = document.querySelector(".stage .made:not([hidden])");
    return {
      value: slider.value, told: slider.getAttribute("aria-valuetext"),
      focused: document.activeElement === slider, clip: getComputedStyle(made).clipPath,
      result: made.querySelector("figcaption").textContent,
    };
  });
  const states = [await state()];
  for (let tabs = 0; tabs < 200 && !(await state()).focused; tabs += 1) await page.keyboard.press("Tab");
  for (const key of ["ArrowRight", "Home", "End", "PageDown"]) {
    await page.keyboard.press(key);
    states.push(await state());
  }
  await page.focus(".compare [type=radio]").then(() => page.keyboard.press("ArrowDown"), () => {});
  states.push(await state());
  const box = await (await page.$(".stage")).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 5);
  await page.mouse.click(box.x + box.width / 4, box.y + box.height / 2);
  states.push({ ...(await state()), share: 0.25, thumb: 40 / box.width });
  await (await page.$(".case")).screenshot({ path: path.join(folder, "case.png") });
  return states;
})();
found.flip = await page.$(".flip") && await (async () => {
  const shown = () => page.evaluate(() => ["first", "second"].filter((name) =>
    getComputedStyle(document.querySelector(`.flip .${name}`)).visibility === "visible"));
  const states = [await shown()];
  await page.focus(".flip [type=checkbox]");
  for (let times = 0; times < 2; times += 1) {
    await page.keyboard.press("Space");
    states.push(await shown());
  }
  return states;
})();
await page.close();

const plain = await opened(VIEWS.desktop, false);
found.plain = (await plain.$$(".stage img")).length;
for (const each of await plain.$$(".stage img")) {
  if (!(await each.boundingBox())) found.plain = 0;
}
await plain.screenshot({ path: path.join(folder, "plain-whole.png"), fullPage: true });
await plain.close();
await browser.close();
console.log(JSON.stringify(found, null, 1));
