// A hundred thousand sensors, ten thousand anomalies: never more than 200 rows in the page.

import assert from 'node:assert/strict'
import { inPage, open } from './browser.mjs'
import { until } from './host.mjs'

const rowsMax = 200

/** Counts rows after each change of the page, and keeps the most there ever were. */
function watchMost() {
  globalThis.most = 0
  const note = () => (globalThis.most = Math.max(globalThis.most, document.querySelectorAll('[role=row], tr').length))
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true })
  note()
}

async function tenThousandAnomalies({ browser, many, figures }) {
  await until('10,000 anomalies at the host', 60_000, async () => (await many.get('/anomalies?limit=1')).total >= 10_000)
  await inPage(browser, many, {}, async (page) => {
    await open(page, many, '/anomalies')
    await page.locator('.row').first().waitFor()
    await page.evaluate(watchMost)
    const list = page.locator('[data-list]')
    const since = Date.now()
    await list.locator('[data-active]').focus()
    const seen = new Set()
    await until('the oldest of ten thousand', 40_000, async () => {
      await page.keyboard.press('End')
      for (const key of await page.locator('.row').evaluateAll((rows) => rows.map((row) => row.dataset.key))) seen.add(key)
      return Number(await list.getAttribute('data-loaded')) >= 10_000
    })
    await page.keyboard.press('End')
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-rowindex') === '10000')
    figures.anomalies_browsed_seconds = (Date.now() - since) / 1000
    // Anywhere in between, by the wheel.
    const box = await list.boundingBox()
    await page.mouse.move(box.x + 200, box.y + 200)
    for (let i = 0; i < 12; i += 1) await page.mouse.wheel(0, -20_000)
    await until('rows where it was scrolled to', 5000, async () => {
      const [first, top] = await list.evaluate((list) => [Number(list.querySelector('.row')?.getAttribute('aria-rowindex')), list.scrollTop])
      return Math.abs(first - top / 32) < 12
    })
    const most = await page.evaluate(() => globalThis.most)
    figures.rows_in_page_max = most
    assert.ok(most <= rowsMax, `${most} rows were in the page`)
  })
}

async function hundredThousandSensors({ browser, many, figures }) {
  await until('100,000 sensors at the host', 60_000, async () => (await many.get('/overview')).sensors >= 100_000)
  await inPage(browser, many, {}, async (page) => {
    await open(page, many, '/sensors')
    await page.getByText('100,000 sensors').waitFor()
    await page.evaluate(watchMost)
    const search = page.getByRole('searchbox')
    const since = Date.now()
    await search.fill('meter-099999')
    await page.getByText('1 sensor matches').waitFor()
    figures.sensor_search_seconds = (Date.now() - since) / 1000
    assert.equal(await page.locator('.row').count(), 1)
    await search.fill('location=feeder-007')
    await page.getByText('200 sensors match').waitFor()
    await search.fill('meter-00')
    await page.getByText('10,000 sensors match').waitFor()
    const list = page.locator('[data-list]')
    await list.locator('[data-active]').focus()
    await until('2,000 of them loaded', 20_000, async () => {
      await page.keyboard.press('End')
      return Number(await list.getAttribute('data-loaded')) >= 2000
    })
    assert.ok((await page.evaluate(() => globalThis.most)) <= rowsMax)
    await search.fill('nobody')
    await page.getByText('No sensor matches').waitFor()
    await search.fill('meter-000003')
    await page.getByText('1 sensor matches').waitFor()
    await page.locator('.row').first().click()
    await page.locator('h1', { hasText: 'meter-000003' }).waitFor()
    await page.locator('.sensor-anomalies .row').first().waitFor()
  })
}

async function deadLetters({ browser, many }) {
  await inPage(browser, many, {}, async (page) => {
    await open(page, many, '/dead-letters')
    await page.locator('tbody th', { hasText: 'not_json' }).waitFor()
    await page.locator('tbody th', { hasText: 'bad_timestamp' }).waitFor()
    await page.locator('.letters pre', { hasText: 'this is no reading' }).waitFor()
  })
}

export const large = [
  ['ten thousand anomalies are browsed', tenThousandAnomalies],
  ['a hundred thousand sensors are searched', hundredThousandSensors],
  ['dead letters say why', deadLetters],
]
