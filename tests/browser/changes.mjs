// What happens while somebody looks: detectors come and are refused, the process goes away and comes back.

import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inPage, open, shot } from './browser.mjs'
import { rebuilt, root, token, until } from './host.mjs'

async function swapped({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated, '/detectors')
    const digest = page.locator('tr[data-detector=limits] .digest')
    const before = await digest.getAttribute('title')
    writeFileSync(simulated.wasm('limits'), rebuilt(simulated.wasm('limits'), 'a new build'))
    await page.locator('.news', { hasText: 'limits' }).waitFor()
    await until('the new digest in the table', 20_000, async () => (await digest.getAttribute('title')) !== before)
    await page.locator('tr[data-detector=limits]').click()
    const entry = page.locator('.history li', { hasText: 'swapped' }).first()
    await entry.waitFor()
    assert.match(await entry.innerText(), /by directory/)
    await shot(page, 'swapped', { fullPage: true })
  })
}

async function refused({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated, '/detector/physics')
    const good = readFileSync(simulated.wasm('physics'))
    const digest = await page.locator('.facts .digest').first().getAttribute('title')
    writeFileSync(simulated.wasm('physics'), 'this is no module')
    const entry = page.locator('.history li', { hasText: 'refused' }).first()
    await entry.waitFor()
    assert.ok((await entry.locator('p').innerText()).length > 10, 'it says why')
    assert.equal(await page.locator('.facts .digest').first().getAttribute('title'), digest, 'the one that ran goes on')
    await shot(page, 'refused', { fullPage: true })
    writeFileSync(simulated.wasm('physics'), good)
    // A name that never ran is there, too, with the reason.
    writeFileSync(simulated.wasm('nonsense'), 'neither is this')
    await page.keyboard.press('3')
    await page.locator('tr[data-detector=nonsense]', { hasText: 'refused' }).waitFor()
    await page.locator('.whys', { hasText: 'nonsense' }).waitFor()
    rmSync(simulated.wasm('nonsense'))
    await page.locator('tr[data-detector=nonsense]').waitFor({ state: 'detached' })
  })
}

async function rolledBack({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated, '/detector/limits')
    const digest = page.locator('.facts .digest').first()
    await digest.waitFor()
    const before = await digest.getAttribute('title')
    await page.getByRole('button', { name: /Roll back/ }).click()
    await page.getByRole('dialog').waitFor()
    await page.getByLabel('Token').fill('a wrong one')
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click()
    await page.locator('dialog .trouble').waitFor()
    await page.getByLabel('Token').fill(token)
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await until('what ran before runs again', 20_000, async () => (await digest.getAttribute('title')) !== before)
    assert.equal(await page.evaluate(() => sessionStorage.length), 1, 'the token is kept for this tab')
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('sesame')), false)
  })
}

/** The first that asks for the token. */
async function confirmed(page, title) {
  await page.getByRole('button', { name: `${title}…` }).click()
  await page.getByLabel('Token').fill(token)
  await page.getByRole('dialog').getByRole('button', { name: title }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

/** Half of a hundred swell by a fifth, the others by a third. */
function swelling(minute) {
  const timestamp = Date.parse('2026-01-01T00:00:00Z') + minute * 60_000
  const meter = (i) => `meter-${String(i + 50_000).padStart(6, '0')}`
  return Array.from({ length: 100 }, (_, i) => ({ sensor_id: meter(i), timestamp, voltage: i < 50 ? 276.5 : 310 }))
}

async function shadowed({ browser, many }) {
  await inPage(browser, many, {}, async (page) => {
    await open(page, many, '/detector/limits')
    await page.getByRole('button', { name: 'Into the shadow…' }).waitFor()
    writeFileSync(join(many.detectors, 'limits.toml'), 'mode = "shadow"\n[parameters]\nswell = 1.25\n')
    await page.locator('.versus', { hasText: 'Candidate, in the shadow' }).waitFor()
    const entry = (what) => page.locator('.history li', { has: page.locator('b', { hasText: what }) }).first()
    assert.match(await entry('shadowed').innerText(), /by directory[\s\S]*judges beside what is live, and is not heard, in 1 lane/)
    assert.equal(await page.getByRole('button', { name: 'Into the shadow…' }).count(), 0, 'there is a shadow')
    await page.getByRole('button', { name: 'Take the shadow out…' }).waitFor()
    many.feed(swelling(30))
    const swells = page.getByRole('region', { name: 'Differences by kind' }).locator('tr', { hasText: 'swell' })
    await swells.waitFor()
    assert.deepEqual(await swells.locator('td').allInnerTexts(), ['50', '0', '50'], 'both, only new, only old')
    await page.locator('.chip.only_old', { hasText: 'only old' }).first().waitFor()
    await shot(page, 'shadow', { fullPage: true })
    await confirmed(page, 'Promote the shadow')
    await entry('promoted').waitFor()
    assert.match(await entry('promoted').innerText(), /by api[\s\S]*what shadowed is live in 1 lane/)
    await page.getByText('Nothing runs in its shadow').waitFor()
    await page.getByRole('button', { name: 'Roll back…' }).waitFor()
    await page.locator('pre', { hasText: '"swell": 1.25' }).waitFor()
  })
}

async function released({ browser, many }) {
  const after = 5_000
  writeFileSync(join(many.detectors, 'hostile.toml'), `[parameters]\nsin = "trap"\nafter = ${after}\n[limits]\nfaults_max = 0\n`)
  copyFileSync(join(root, 'target/examples/hostile.wasm'), many.wasm('hostile'))
  await inPage(browser, many, {}, async (page) => {
    await open(page, many, '/detectors')
    await page.locator('tr[data-detector=hostile]', { hasText: 'running' }).click()
    const timestamp = Date.parse('2026-01-01T01:00:00Z')
    many.feed(Array.from({ length: after }, (_, i) => ({ sensor_id: `meter-${String(i).padStart(6, '0')}`, timestamp, voltage: 230.1 })))
    await page.locator('h1 .fate-quarantined').waitFor()
    await page.locator('.notice', { hasText: 'trap' }).waitFor()
    await shot(page, 'quarantined', { fullPage: true })
    await confirmed(page, 'Release')
    await page.locator('h1 .fate-running').waitFor()
    await page.getByRole('button', { name: 'Release…' }).waitFor({ state: 'detached' })
    const entry = page.locator('.history li', { has: page.locator('b', { hasText: 'released' }) }).first()
    await entry.waitFor()
    assert.match(await entry.innerText(), /by api[\s\S]*it judges again/)
  })
}

async function lostAndRegained({ browser, simulated, figures }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated)
    await page.locator('.row').first().waitFor()
    const before = Date.now()
    await simulated.stop('SIGKILL')
    await page.locator('.banner-lost').waitFor()
    figures.lost_noticed_seconds = (Date.now() - before) / 1000
    assert.ok(await page.locator('.frame.stale').isVisible(), 'what is old looks old')
    assert.match(await page.locator('.banner-lost').innerText(), /Connection lost[\s\S]*What you see is of \d\d:\d\d:\d\d/)
    await shot(page, 'lost')
    // Pages that are gone to meanwhile say so, too, instead of being empty.
    await page.keyboard.press('5')
    await page.locator('.trouble', { hasText: 'gridwatch does not answer' }).waitFor()
    await page.keyboard.press('1')
    const back = Date.now()
    await simulated.start()
    await page.locator('[data-link=live]').waitFor()
    figures.started_and_regained_seconds = (Date.now() - back) / 1000
    await page.locator('.banner-lost').waitFor({ state: 'detached' })
    const { items } = await until('the new process has found something', 60_000, async () => {
      const page = await simulated.get('/anomalies?limit=5')
      return page.items.length > 0 && page
    })
    await page.locator(`.row[data-key="${items.at(-1).id}"]`).waitFor()
    await page.keyboard.press('5')
    await page.locator('h1', { hasText: 'Dead letters' }).waitFor()
    await page.locator('.trouble').waitFor({ state: 'detached' })
  })
}

/** A browser has six connections for a server. Pages that nobody sees give theirs back, and come again when shown. */
async function manyPages({ browser, simulated }) {
  const set = (page, hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  await inPage(browser, simulated, {}, async (page) => {
    const isStream = (request) => request.url().endsWith('/events')
    await open(page, simulated)
    const others = []
    for (let n = 0; n < 4; n += 1) {
      const other = await page.context().newPage()
      await open(other, simulated)
      others.push(other)
    }
    const hidden = [page, ...others]
    const left = hidden.map((page) => page.waitForEvent('requestfailed', isStream))
    for (const page of hidden) await set(page, true)
    await Promise.all(left)
    // With those that stay there would be more than six.
    for (let n = 0; n < 4; n += 1) await open(await page.context().newPage(), simulated)
    const again = page.waitForRequest(isStream)
    await set(page, false)
    assert.equal((await (await again).response()).status(), 200)
  })
}

export const changes = [
  ['a detector that is swapped is seen at once', swapped],
  ['one that is refused is seen, with the reason', refused],
  ['a rollback asks for the token once', rolledBack],
  ['a shadow is seen beside what is live, and promoted', shadowed],
  ['who is quarantined is released', released],
  ['a lost connection is said, and regained', lostAndRegained],
  ['more pages than a browser has connections', manyPages],
]
