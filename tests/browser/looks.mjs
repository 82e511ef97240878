// Every page in both themes and on a phone: who cannot see colours, or anything, is not kept out.

import assert from 'node:assert/strict'
import { desktop, inPage, open, phone, shot, violations } from './browser.mjs'
import { until } from './host.mjs'

async function pages(host) {
  const raised = await until('an anomaly with a quantity', 60_000, async () =>
    (await host.get('/anomalies?phase=raised&limit=200')).items.find((anomaly) => anomaly.quantity && anomaly.sensor_id && anomaly.lower != null),
  )
  return [
    ['overview', '/', '.row'],
    ['anomalies', '/anomalies', '.row'],
    ['anomaly', `/anomaly/${raised.id}`, '.reading canvas'],
    ['detectors', '/detectors', 'tr[data-detector]'],
    ['detector', `/detector/${raised.detector}`, '.history li'],
    ['sensors', '/sensors', '.row'],
    ['sensor', `/sensor/${raised.sensor_id}`, '.plot-small canvas'],
    ['dead-letters', '/dead-letters', 'h1'],
    ['no-page', '/nowhere', 'h1'],
  ]
}

async function inEach({ browser, simulated }, colorScheme, viewport, name, alsoHelp) {
  const all = await pages(simulated)
  await inPage(browser, simulated, { colorScheme, viewport, deviceScaleFactor: viewport === phone ? 2 : 1 }, async (page) => {
    const bad = []
    for (const [place, address, ready] of all) {
      await open(page, simulated, address)
      await page.locator(ready).first().waitFor()
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      assert.ok(wide <= 0, `${place} is ${wide} px wider than the screen`)
      for (const line of await violations(page)) bad.push(`${place}: ${line}`)
      await shot(page, `${place}-${name}`, { fullPage: viewport === phone })
    }
    if (alsoHelp) {
      await page.keyboard.press('?')
      await page.getByRole('dialog').waitFor()
      for (const line of await violations(page)) bad.push(`help: ${line}`)
    }
    assert.deepEqual(bad, [])
  })
}

export const looks = [
  ['dark: every page is usable by everybody', (world) => inEach(world, 'dark', desktop, 'dark', true)],
  ['light: every page is usable by everybody', (world) => inEach(world, 'light', desktop, 'light', true)],
  ['a phone: every page fits', (world) => inEach(world, 'dark', phone, 'phone', false)],
]
