// What an operator sees while readings come in.

import assert from 'node:assert/strict'
import { inPage, open, shot } from './browser.mjs'
import { faults, until } from './host.mjs'

export const seed = 3
/** Faults that show at once and in a value. */
const plain = ['offset', 'gain', 'unit_error', 'sqrt3', 'sign_flip']

const text = (page, selector) => page.locator(selector).first().innerText()

/** Notes in the page when each row of the live list appeared. */
function watchRows() {
  globalThis.seen = {}
  const note = () => {
    for (const row of document.querySelectorAll('.overview-list .row')) globalThis.seen[row.dataset.key] ??= Date.now()
  }
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true })
  note()
}

/** A pixel of the plot that is neither background nor grid: what was drawn, by colour. */
function colours(canvas) {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const found = new Set()
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0) found.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2])
  return found.size
}

async function overviewFills({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated)
    await until('readings a second', 20_000, async () => /^[1-9]/.test(await text(page, '[data-tile=rate] .tile-value')))
    assert.match(await text(page, '[data-tile=sensors] .tile-value'), /^84/)
    assert.match(await text(page, '[data-tile=sensors] .tile-note'), /2 lanes/)
    await until('event time goes on', 20_000, async () => {
      const before = await text(page, '[data-tile=watermark] .tile-value')
      await page.waitForTimeout(1100)
      return before !== (await text(page, '[data-tile=watermark] .tile-value'))
    })
    assert.equal(await page.locator('.lanes').first().locator('tbody tr').count(), 2)
    for (const name of ['limits', 'physics', 'shift', 'vitals']) await page.locator('.overview-left a', { hasText: name }).waitFor()
    await until('the sparkline is drawn', 5000, async () => ((await page.locator('.spark-line').getAttribute('d')) ?? '').length > 10)
    await until('the timeline is drawn', 5000, async () => (await page.locator('.timeline canvas').evaluate(colours)) > 3)
  })
}

/** From the truth of the simulator to a row in the page, and behind it the plot. */
async function aFaultAppears({ browser, simulated, figures }) {
  const truth = await faults(seed, simulated.dir)
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated)
    await page.evaluate(watchRows)
    const found = await until('an injected fault in the list', 90_000, async () => {
      const rows = await page.locator('.overview-list .row').evaluateAll((rows) => rows.map((row) => row.dataset.key))
      for (const id of rows.filter((id) => !checked.has(id))) {
        checked.add(id)
        const anomaly = await simulated.get(`/anomalies/${id}`).catch(() => null)
        if (anomaly === null || anomaly.phase !== 'raised' || anomaly.quantity == null || anomaly.value == null) continue
        const at = Date.parse(anomaly.timestamp)
        const fault = truth.find((fault) => plain.includes(fault.kind) && fault.sensor_id === anomaly.sensor_id && fault.quantities.includes(anomaly.quantity) && at >= fault.start && at <= fault.start + 600_000)
        if (fault !== undefined && anomaly.lower != null && anomaly.upper != null) return { anomaly, fault }
      }
      return null
    })
    const { anomaly, fault } = found
    // From the sink's acknowledgement to the row, of all that came while the page was open.
    const seen = await page.evaluate(() => globalThis.seen)
    const began = Math.min(...Object.values(seen))
    const delays = []
    for (const { id, received_at } of (await simulated.get('/anomalies?limit=500')).items)
      if (seen[id] > began + 500) delays.push((seen[id] - Date.parse(received_at)) / 1000)
    delays.sort((a, b) => a - b)
    assert.ok(delays.length >= 3, `only ${delays.length} anomalies came while the page was open`)
    figures.published_to_page_seconds_median = delays[delays.length >> 1]
    figures.published_to_page_seconds_max = delays.at(-1)
    figures.published_to_page_anomalies = delays.length
    assert.ok(delays[delays.length >> 1] < 2, `an anomaly took ${delays[delays.length >> 1]} s to the page`)

    await page.evaluate((id) => (location.hash = `#/anomaly/${id}`), anomaly.id)
    await page.locator('h1', { hasText: anomaly.kind }).waitFor()
    await page.locator('.explanation', { hasText: anomaly.explanation.slice(0, 20) }).waitFor()
    const plot = page.locator('.reading .plot').first()
    await plot.locator('canvas').waitFor()
    assert.match(await plot.getAttribute('aria-label'), new RegExp(`${anomaly.quantity} of ${anomaly.sensor_id}.* reading.*[1-9]\\d* episode`))
    assert.ok((await plot.locator('canvas').evaluate(colours)) > 10, 'values, band, neighbours and the episode are drawn')
    const legend = await text(page, '.reading .legend')
    for (const word of ['band that the anomaly names', 'neighbour', 'episode']) assert.ok(legend.includes(word), `${word} in: ${legend}`)
    // The plot's numbers: in band before the fault, the anomaly's own value at its time.
    const before = Math.round((Date.parse(anomaly.timestamp) - fault.start) / 1000) + 7200
    const window = await simulated.get(`/sensors/${anomaly.sensor_id}/window?around=${anomaly.timestamp}&before=${before}&after=60&quantity=${anomaly.quantity}&detector=${anomaly.detector}`)
    const at = window.points.timestamps.indexOf(Date.parse(anomaly.timestamp))
    assert.ok(at > 60, 'the window holds the anomaly and two hours before it')
    assert.ok(Math.abs(window.points.values[at] - anomaly.value) <= Math.abs(anomaly.value) * 0.5 + 1, 'the value is near what the reading was')
    // What another one expected, lived once more.
    await page.getByLabel('Expected by').selectOption('shift')
    await page.locator('.reading .legend', { hasText: 'expected band' }).waitFor()
    // A table, for who cannot see it.
    await page.getByText('Values as a table').click()
    await page.locator('.values tbody tr').first().waitFor()
    await page.getByRole('button', { name: 'Copy as JSON' }).click()
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))
    assert.equal(copied.id, anomaly.id)
    assert.equal(copied.lane, undefined, 'as it was published, without what the API adds')
    await shot(page, 'fault', { fullPage: true })
    figures.fault_shown = `${fault.kind} on ${fault.sensor_id} found by ${anomaly.detector}/${anomaly.kind}`
    // Next and previous, and the ways on.
    await page.keyboard.press('j')
    const own = page.locator('.facts code', { hasText: anomaly.id })
    await own.waitFor({ state: 'detached' })
    // The older one is there, not only on its way: a key that is pressed meanwhile means nothing yet.
    await page.locator('.facts code').first().waitFor()
    await page.keyboard.press('k')
    await own.waitFor()
    await page.locator('h1 a', { hasText: anomaly.sensor_id }).click()
    await page.locator('.plot-small canvas').first().waitFor()
  })
}
const checked = new Set()

async function filters({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated, '/anomalies')
    await page.locator('.row').first().waitFor()
    const rows = (selector) => page.locator(`.row ${selector}`).allInnerTexts()
    for (const severity of ['warning', 'info']) {
      const clear = page.getByRole('button', { name: 'Clear' })
      if (await clear.isEnabled()) await clear.click()
      await page.locator('.toggles button', { hasText: severity }).click()
      await until(`only ${severity}`, 10_000, async () => {
        const marks = await rows('.c-severity')
        return marks.length > 0 && marks.every((mark) => mark.includes(severity))
      })
    }
    await page.locator('.toggles button', { hasText: 'warning' }).click()
    await until('both, and no other', 10_000, async () => {
      const marks = await rows('.c-severity')
      return ['warning', 'info'].every((severity) => marks.some((mark) => mark.includes(severity))) && !marks.some((mark) => mark.includes('critical'))
    })
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByLabel('Detector', { exact: true }).selectOption('vitals')
    await until('only those of vitals', 5000, async () => {
      const by = await rows('.by')
      return by.length > 0 && by.every((name) => name === 'vitals')
    })
    const kind = (await rows('.c-kind a'))[0]
    await page.getByLabel('Kind', { exact: true }).selectOption(kind)
    await until('only that kind', 5000, async () => (await rows('.c-kind a')).every((name) => name === kind))
    assert.match(page.url(), new RegExp(`detector=vitals.*kind=${kind}`))
    // What streams in is filtered, too; and a page that is opened at this address begins so.
    await page.waitForTimeout(1500)
    assert.ok((await rows('.by')).every((name) => name === 'vitals'))
    await page.reload()
    await page.locator('.row').first().waitFor()
    assert.ok((await rows('.c-kind a')).every((name) => name === kind))
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByRole('searchbox').fill('METER-00000')
    await until('only those sensors', 5000, async () => {
      const subjects = await rows('.c-subject')
      return subjects.length > 0 && subjects.every((subject) => subject.startsWith('meter-00000'))
    })
    await page.getByRole('searchbox').fill('no such thing')
    await page.getByText('None of those that are kept match').waitFor()
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.locator('.row').first().waitFor()
  })
}

async function pauses({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated)
    await page.locator('.row').first().waitFor()
    await page.keyboard.press('p')
    const first = await page.locator('.row').first().getAttribute('data-key')
    await page.getByRole('button', { name: /Resume \(\d+ new\)/ }).waitFor({ timeout: 30_000 })
    assert.equal(await page.locator('.row').first().getAttribute('data-key'), first, 'the list stands still')
    await page.getByRole('button', { name: /Resume/ }).click()
    await until('the new ones are there', 5000, async () => (await page.locator('.row').first().getAttribute('data-key')) !== first)
  })
}

/** No mouse: from the top of the page to a sensor and back. */
async function keyboard({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated)
    await page.locator('.row').first().waitFor()
    const focused = () => page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200) ?? '')
    await page.keyboard.press('Tab')
    assert.match(await focused(), /class="skip"/)
    await page.keyboard.press('Enter')
    assert.match(await focused(), /id="main"/)
    await page.keyboard.press('2')
    await page.locator('h1', { hasText: 'Anomalies' }).waitFor()
    await page.locator('.row').nth(3).waitFor()
    await page.keyboard.press('p')
    await page.keyboard.press('j')
    assert.match(await focused(), /role="row"/)
    const index = () => page.evaluate(() => Number(document.activeElement?.getAttribute('aria-rowindex')))
    const before = await index()
    await page.keyboard.press('j')
    await page.keyboard.press('ArrowDown')
    assert.equal(await index(), before + 2)
    await page.keyboard.press('k')
    assert.equal(await index(), before + 1)
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
    assert.equal(outline, 'solid', 'the focus is seen')
    const id = await page.evaluate(() => document.activeElement.dataset.key)
    await page.keyboard.press('Enter')
    await page.waitForFunction((id) => location.hash === `#/anomaly/${id}`, id)
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => location.hash.startsWith('#/anomalies'))
    await page.locator('h1', { hasText: 'Anomalies' }).waitFor()
    await page.locator('.row').nth(3).waitFor()
    await page.keyboard.press('/')
    assert.match(await focused(), /type="search"/)
    await page.keyboard.type('meter j')
    assert.equal(await page.getByRole('searchbox').inputValue(), 'meter j', 'letters in a field are letters')
    await page.keyboard.press('Escape')
    await page.keyboard.press('4')
    await page.locator('h1', { hasText: 'Sensors' }).waitFor()
    await page.locator('.row').first().waitFor()
    await page.keyboard.press('End')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => location.hash.startsWith('#/sensor/'))
    await page.keyboard.press('?')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    const dark = await page.evaluate(() => document.documentElement.dataset.theme)
    await page.keyboard.press('t')
    assert.notEqual(await page.evaluate(() => document.documentElement.dataset.theme), dark)
    await page.keyboard.press('3')
    await page.locator('tr[data-detector]').first().waitFor()
    // Who listens to keys does so from the frame on that follows the one with the rows.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 150))))
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.waitForFunction(() => document.activeElement?.dataset.detector === 'physics')
    await page.keyboard.press('Enter')
    await page.locator('h1', { hasText: 'physics' }).waitFor()
  })
}

async function zones({ browser, simulated }) {
  await inPage(browser, simulated, {}, async (page) => {
    await open(page, simulated, '/anomalies')
    await page.keyboard.press('p')
    const time = page.locator('.row time').first()
    const utc = await time.innerText()
    const said = await time.getAttribute('datetime')
    assert.equal(utc, said.slice(5, 19).replace('T', ' '))
    await page.keyboard.press('z')
    const local = new Date(Date.parse(said) + 3_600_000).toISOString()
    assert.equal(await time.innerText(), local.slice(5, 19).replace('T', ' '), 'Madrid in January')
    await page.reload()
    await page.locator('.row').first().waitFor()
    assert.ok(await page.getByRole('button', { name: /local time/ }).isVisible(), 'the choice is kept')
  })
}

export const live = [
  ['the overview fills with what comes in', overviewFills],
  ['an injected fault appears, and its plot shows it', aFaultAppears],
  ['filters narrow what is listed and what streams in', filters],
  ['a paused list stands still', pauses],
  ['everything is reached by the keyboard alone', keyboard],
  ['times are in UTC or local', zones],
]
