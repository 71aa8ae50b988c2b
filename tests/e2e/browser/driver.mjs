// Chromium for harness/browser.py: one line of JSON in, one line out.
//
//   node driver.mjs CHROMIUM [CERTIFICATE]     CERTIFICATE: of the server that is to be believed, whoever issued it
//
// {"id", "do": "open", "page", "library"}        a page with that phone; "page" is the name it gets
// {"id", "do": "run", "page", "name", "args"}    calls window.phone[name](...args)
// {"id", "do": "wait", "page", "event", "from", "ms"}   until events[from..] has it; answers with the place after it
// {"id", "do": "ask", "page", "name", "args"}    the same, and what it gives
// {"id", "do": "events" | "reload" | "close", "page"}     at the end of input everything ends
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [, , executablePath, certificate] = process.argv;

async function bundle(library) {
  const entry = new URL(`pages/${library}.js`, import.meta.url).pathname;
  const made = await build({ entryPoints: [entry], bundle: true, format: "iife", write: false, logLevel: "error" });
  return made.outputFiles[0].text;
}

const scripts = { jssip: await bundle("jssip"), sipjs: await bundle("sipjs") };
const server = createServer((request, response) => {
  const name = request.url.slice(1);
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(scripts[name] ? `<!doctype html><title>${name}</title><script>${scripts[name].replaceAll("</script", "<\\/script")}</script>` : "");
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
// A name for loopback, and so a secure context, where getUserMedia is there.
const origin = `http://localhost:${server.address().port}`;

function believed(path) {
  const key = new X509Certificate(readFileSync(path)).publicKey.export({ type: "spki", format: "der" });
  return [`--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`];
}

// Audio goes by the machine's own address, which leaves it as little as loopback does: baresip never offers loopback, and of
// two addresses it may take another than the browser.
const hasAddress = Object.values(networkInterfaces()).flat().some((each) => each.family === "IPv4" && !each.internal);

// How long something may take is for the test to say.
const browser = await chromium.launch({
  executablePath,
  timeout: 0,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    ...(hasAddress ? [] : ["--allow-loopback-in-peer-connection"]),
    ...(certificate ? believed(certificate) : []),
  ],
});

const pages = {};
const actions = {
  async open({ page, library }) {
    // A context of its own: a browser of its own, with its own storage.
    const context = await browser.newContext({ permissions: ["microphone"] });
    context.setDefaultTimeout(0);
    pages[page] = await context.newPage();
    pages[page].on("pageerror", (error) => console.error(page, error.message));
    pages[page].on("console", (line) => console.error(page, line.text()));
    await pages[page].goto(`${origin}/${library}`);
  },
  run: ({ page, name, args }) =>
    pages[page].evaluate(async ([name, args]) => (await window.phone[name](...args), null), [name, args ?? []]),
  ask: ({ page, name, args }) =>
    pages[page].evaluate(([name, args]) => window.phone[name](...args), [name, args ?? []]),
  async wait({ page, event, from, ms }) {
    const found = await pages[page].waitForFunction(
      ([event, from]) => window.phone.events.indexOf(event, from) + 1 || null,
      [event, from],
      { timeout: ms, polling: 20 },
    );
    return found.jsonValue();
  },
  events: ({ page }) => pages[page].evaluate(() => window.phone.events),
  reload: async ({ page }) => void (await pages[page].reload()),
  close: async ({ page }) => void (await pages[page].context().close()),
};

console.log(JSON.stringify({ id: 0, result: { origin, version: browser.version() } }));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: action, ...rest } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ id, result: (await actions[action](rest)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: error.message }));
  }
}
await browser.close();
server.close();
