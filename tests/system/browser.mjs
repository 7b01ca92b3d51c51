// A real browser, headless, for tests of the page at /. Whatever a page must never do is watched on every one of them:
// ask another host, break its own Content-Security-Policy, throw.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium } from 'playwright-core';

const root = path.resolve(import.meta.dirname, '../..');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const shots = path.join(root, process.env.B ?? 'build/sim', 'test-output/screenshots');

// A slow, loaded machine: nothing here is quick or late, it happens or it does not.
export const PATIENCE_MS = 30_000;

/** Starts the browser. Without a display, and without the sandbox that a container's root cannot have. */
export async function startBrowser() {
  await mkdir(shots, { recursive: true });
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--headless=new', '--disable-dev-shm-usage'] });
}

// Playwright makes a page believe that it is visible, so being hidden is played.
function playHidden() {
  let hidden = false;
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  globalThis.playHidden = (value) => {
    hidden = value;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  globalThis.violations = [];
  addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
}

export class Tab {
  /** Opens the page of `url` (a new person: nothing is kept from other tabs). */
  static async open(browser, url, { locale = 'en-US', width = 1280, height = 800, load = true, ...options } = {}) {
    const context = await browser.newContext({ locale, viewport: { width, height }, ...options });
    await context.addInitScript(playHidden);
    const tab = new Tab(context, await context.newPage(), url);
    if (load) await tab.load();
    return tab;
  }

  constructor(context, page, url) {
    Object.assign(this, { context, page, url, wrong: [], sockets: 0 });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.wrong.push(`error: ${error.stack}`));
    page.on('dialog', (dialog) => this.wrong.push(`dialog: ${dialog.message()}`));
    page.on('websocket', () => this.sockets++);
    page.on('request', (request) => {
      if (!request.url().startsWith('data:') && new URL(request.url()).host !== new URL(url).host) this.wrong.push(`asked ${request.url()}`);
    });
  }

  async load() {
    await this.page.goto(this.url);
    await this.page.waitForSelector('#entry:not([hidden]), #chat:not([hidden])');
  }

  /** Waits until the element is there and visible, and says what `pattern` wants. */
  async says(selector, pattern) {
    const shown = this.page.locator(selector);
    await shown.first().waitFor();
    for (const end = Date.now() + PATIENCE_MS; ; await this.page.waitForTimeout(30)) {
      const texts = (await shown.allInnerTexts()).join('\n').replace(/[\u2068\u2069]/g, '');
      if (pattern.test(texts)) return texts;
      assert.ok(Date.now() < end, `${selector} never said ${pattern}: ${JSON.stringify(texts)}`);
    }
  }

  async until(test, what, ...values) {
    await this.page.waitForFunction(test, ...values).catch((error) => assert.fail(`${what}: ${error.message}`));
  }

  focused() {
    return this.page.evaluate(() => document.activeElement.id);
  }

  async say(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
  }

  /** All messages, as [class, text] without the time. */
  messages() {
    return this.page.$$eval('#log .bubble', (bubbles) =>
      bubbles.map((bubble) => {
        const copy = bubble.cloneNode(true);
        copy.querySelector('time')?.remove();
        return copy.textContent;
      }));
  }

  async guest() {
    await this.page.click('#guest');
    await this.says('#line', /^You are guest-\d+/);
  }

  /** Registers through the forms; ends in the chat. */
  async register(user, password = 'correct horse') {
    const { page } = this;
    await page.click('.tabs [data-view=register]');
    await page.fill('#email', `${user}@example.com`);
    await page.press('#email', 'Enter');
    await page.waitForSelector('#rest:not([hidden])');
    await page.fill('#user', user);
    await page.fill('#password', password);
    await page.fill('#again', password);
    await page.press('#again', 'Enter');
    await this.says('#line', new RegExp(`^You are ${user}`));
  }

  async logIn(user, password = 'correct horse') {
    await this.page.fill('#login-user', user);
    await this.page.fill('#login-password', password);
    await this.page.press('#login-password', 'Enter');
  }

  hide(hidden) {
    return this.page.evaluate((value) => globalThis.playHidden(value), hidden);
  }

  /**
   * Screenshots in both themes and two widths, and axe-core's rules in both themes. Not beside a simulator under
   * AddressSanitizer: it is the same page, and takes half of the time.
   */
  async look(name, { audit = true, full = false } = {}) {
    if (process.env.B?.endsWith('-asan')) return;
    const { page } = this;
    const before = page.viewportSize();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const width of [360, 1280]) {
        await page.setViewportSize({ width, height: width === 360 ? 740 : 800 });
        await page.screenshot({ path: path.join(shots, `${name}-${colorScheme}-${width}.png`), fullPage: full, animations: 'disabled' });
        if (audit && (colorScheme === 'light') === (width === 360)) await this.audit(`${name} ${colorScheme} ${width}`);
      }
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize(before);
  }

  async audit(name) {
    const found = await this.page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] })`);
    const told = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join('; ')}`);
    assert.deepEqual(told, [], `axe-core on ${name}`);
    assert.equal(await this.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${name} fits its width`);
  }

  async close() {
    const violations = await this.page.evaluate(() => globalThis.violations);
    await this.context.close();
    assert.deepEqual([...this.wrong, ...violations], []);
  }
}
