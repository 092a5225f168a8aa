// A real browser, ordered about by lines of JSON on standard input; each line gets one line in reply. Headless Chromium does
// what a person would do with the pages that jeton and its servers show. Nothing but loopback is reached: a request that
// would leave it is cut off and told. Ends when its standard input closes.

import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

import { judge } from './judge.mjs';

const PATIENCE = 30_000;
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

const chrome = await chromium.launch({
  executablePath: process.env.JETON_CHROMIUM || '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--font-render-hinting=none', '--disable-lcd-text',
  ],
});

/** Browsers with cookies of their own, and their tabs, by the number that the test knows them by. */
const browsers = new Map();
const tabs = new Map();
/** Where each tab went, redirects included, also where it waits for an answer or gets none. */
const visits = new Map();
let last = 0;

const commands = {
  /** A browser without cookies. `refused`: origins at which it meets nobody, as on another machine. */
  async browser({ width = 1000, height = 720, scheme = 'light', refused = [] }) {
    const context = await chrome.newContext({
      viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce', locale: 'en-GB',
    });
    const evidence = { foreign: [], complaints: [], violations: [] };
    context.setDefaultTimeout(PATIENCE);
    await context.exposeBinding('jetonViolation', (_source, what) => evidence.violations.push(what));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) =>
        globalThis.jetonViolation(`${event.effectiveDirective} ${event.blockedURI} on ${location.pathname}`));
    });
    await context.route('**/*', (route) => {
      const url = new URL(route.request().url());
      if (!LOOPBACK.has(url.hostname) && url.protocol !== 'data:') {
        evidence.foreign.push(`${url.origin} for ${new URL(route.request().frame().url()).origin}`);
        return route.abort('blockedbyclient');
      }
      return refused.includes(url.origin) ? route.abort('connectionrefused') : route.continue();
    });
    context.on('console', (message) => {
      // What was cut off above is told already.
      const cutOff = message.text().includes('ERR_BLOCKED_BY_CLIENT');
      if (['error', 'warning'].includes(message.type()) && !cutOff) evidence.complaints.push(message.text());
    });
    context.on('weberror', (error) => evidence.complaints.push(String(error.error())));
    browsers.set(++last, { context, evidence });
    return last;
  },

  async tab({ browser }) {
    const page = await browsers.get(browser).context.newPage();
    visits.set(page, []);
    page.on('request', (request) => isVisit(page, request) && visits.get(page).push(request));
    tabs.set(++last, page);
    return last;
  },

  /** Opens a URL and does not wait: the page may be kept back until a login has ended. */
  async open({ tab, url }) {
    tabs.get(tab).goto(url, { waitUntil: 'commit' }).catch(() => {});
  },

  /** Waits until a heading reads like that. */
  async heading({ tab, text }) {
    const page = tabs.get(tab);
    await page.getByRole('heading', { name: text, exact: true }).waitFor().catch(async () => {
      const shown = await page.locator('body').innerText().catch(() => 'nothing');
      throw new Error(`no heading ${JSON.stringify(text)} at ${page.url()}, which shows: ${shown}`);
    });
    await page.waitForLoadState('load');
  },

  /** Waits until the tab goes to an address that begins like that, whether or not anybody answers there; all of it. */
  async address({ tab, start }) {
    return (await visit(tabs.get(tab), start)).url();
  },

  async fill({ tab, field, text }) {
    await tabs.get(tab).locator(`[name=${JSON.stringify(field)}]`).fill(text);
  },

  async choose({ tab, field, option }) {
    await tabs.get(tab).locator(`select[name=${JSON.stringify(field)}]`).selectOption(option);
  },

  /** Presses a button or follows a link, by its name. */
  async press({ tab, name }) {
    const page = tabs.get(tab);
    const button = page.getByRole('button', { name, exact: true }).or(page.getByRole('link', { name, exact: true }));
    await button.click({ noWaitAfter: true });
  },

  /** Presses a key, where the keyboard is. */
  async key({ tab, key }) {
    await tabs.get(tab).keyboard.press(key);
  },

  /** Goes to another width, as on a telephone. */
  async size({ tab, width, height }) {
    await tabs.get(tab).setViewportSize({ width, height });
  },

  /** What is seen and what is known of the page. */
  async look({ tab }) {
    const page = tabs.get(tab);
    return {
      url: page.url(),
      title: await page.title(),
      text: await page.locator('body').innerText(),
      source: await page.content(),
      history: await history(page),
    };
  },

  /** What keeps people out who do not see well, or have no mouse: a list, empty if all is well. */
  async judge({ tab }) {
    return judge(tabs.get(tab));
  },

  /** Of the window, made as high as the page. */
  async screenshot({ tab, file, highest }) {
    const page = tabs.get(tab);
    const { width } = page.viewportSize();
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height: Math.min(height, highest) });
    await page.screenshot({ path: file, animations: 'disabled', caret: 'hide' });
  },

  /** What must not have happened in that browser, in whatever tab. */
  async evidence({ browser }) {
    return browsers.get(browser).evidence;
  },

  async close({ browser }) {
    await browsers.get(browser).context.close();
  },
};

/** The first request of a tab for an address that begins like that. */
async function visit(page, start) {
  const begins = (request) => request.url().startsWith(start);
  return visits.get(page).find(begins) ?? page.waitForRequest((request) => isVisit(page, request) && begins(request));
}

function isVisit(page, request) {
  return request.isNavigationRequest() && request.frame() === page.mainFrame();
}

/** The addresses behind the back button, the present one last. */
async function history(page) {
  const session = await page.context().newCDPSession(page);
  const { entries, currentIndex } = await session.send('Page.getNavigationHistory');
  await session.detach();
  return entries.slice(0, currentIndex + 1).map((entry) => entry.url);
}

async function obey(line) {
  const { id, command, ...details } = JSON.parse(line);
  let reply;
  try {
    reply = { id, ok: (await commands[command](details)) ?? null };
  } catch (error) {
    reply = { id, error: error.message };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

const lines = createInterface({ input: process.stdin });
lines.on('line', obey);
lines.on('close', async () => {
  await chrome.close();
  process.exit(0);
});
process.stdout.write(`${JSON.stringify({ id: 0, ok: chrome.version() })}\n`);
