// Runs what lies beside it, one after the other, on two processes: one with the simulator, one with very much.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch } from './browser.mjs'
import { Host, manySensors, root } from './host.mjs'
import { changes } from './changes.mjs'
import { large } from './large.mjs'
import { live, seed } from './live.mjs'
import { looks } from './looks.mjs'

const only = process.argv[2]
const started = Date.now()
const figures = {}
const built = ['limits', 'physics', 'shift', 'vitals']

// An hour of event time a second; faults begin after its first day.
const simulated = await Host.make('live', `[source]\nkind = "simulator"\nseed = ${seed}\nspeed = 3600.0\nlanes = 2`, built)
const many = await Host.make(
  'many',
  '[source]\nkind = "file"\npath = "readings.jsonl"\nfollow = true\n[assets.all]\nnominal_voltage = "230"',
  ['limits', 'vitals'],
  { 'readings.jsonl': manySensors },
)
const browser = await launch()
let failed = 0
let passed = 0
try {
  await Promise.all([simulated.start(), many.start()])
  for (const [name, work] of [...live, ...large, ...looks, ...changes]) {
    if (only !== undefined && !name.includes(only)) continue
    const since = Date.now()
    try {
      await work({ browser, simulated, many, figures })
      passed += 1
      console.log(`ok      ${name} (${((Date.now() - since) / 1000).toFixed(1)} s)`)
    } catch (error) {
      failed += 1
      console.log(`FAILED  ${name}\n${error.stack}\n`)
    }
  }
} finally {
  if (failed > 0) for (const host of [simulated, many]) console.log(`last of ${host.name}’s log:\n${host.log()}\n`)
  await browser.close()
  await Promise.all([simulated.remove(), many.remove()])
}

figures.tests_seconds = Math.round((Date.now() - started) / 100) / 10
if (only === undefined && failed === 0) {
  mkdirSync(join(root, 'target/bench'), { recursive: true })
  writeFileSync(join(root, 'target/bench/dashboard.json'), `${JSON.stringify(figures, null, 2)}\n`)
}
for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(44)} ${value}`)
console.log(`browser: ${passed} passed, ${failed} failed, in ${figures.tests_seconds} s`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
