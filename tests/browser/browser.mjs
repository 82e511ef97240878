// Chromium, and pages that are watched: no error, and not a single request to anybody but the host.

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { root } from './host.mjs'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const shots = join(root, 'target/browser')
mkdirSync(shots, { recursive: true })

export const desktop = { width: 1440, height: 900 }
export const phone = { width: 390, height: 844 }

export async function launch() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

/** What a page asked for and complained of. Network errors are expected while its host is away. */
export class Watched {
  foreign = []
  complaints = []

  constructor(page, url) {
    page.on('request', (request) => {
      if (!request.url().startsWith(`${url}/`)) this.foreign.push(request.url())
    })
    page.on('pageerror', (error) => this.complaints.push(String(error.stack ?? error)))
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) this.complaints.push(message.text())
    })
  }

  check() {
    assert.deepEqual(this.foreign, [], 'requests to other hosts')
    assert.deepEqual(this.complaints, [], 'errors in the page')
  }
}

/** A page of its own, with `work` done in it. */
export async function inPage(browser, host, options, work) {
  const context = await browser.newContext({ viewport: desktop, colorScheme: 'dark', timezoneId: 'Europe/Madrid', locale: 'en-GB', ...options })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: host.url })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const watched = new Watched(page, host.url)
  try {
    await work(page)
    watched.check()
  } catch (error) {
    await shot(page, `failed-${Date.now()}`).catch(() => undefined)
    if (watched.complaints.length > 0) error.message += `\nin the page: ${watched.complaints.join('\n')}`
    throw error
  } finally {
    await context.close()
  }
}

export async function open(page, host, place = '/') {
  await page.goto(`${host.url}/#${place}`)
  await page.locator('[data-link=live]').waitFor()
}

export async function shot(page, name, options = {}) {
  await page.screenshot({ path: join(shots, `${name}.png`), ...options })
}

/** Violations that keep somebody out, as lines. */
export async function violations(page) {
  await page.evaluate(axeSource)
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 5).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`) }))
  })
  return found.filter(({ impact }) => impact === 'serious' || impact === 'critical').map((one) => JSON.stringify(one, null, 1))
}
