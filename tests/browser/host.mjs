// Processes of gridwatch in folders of their own.

import { spawn } from 'node:child_process'
import { appendFileSync, copyFileSync, createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..')
export const binary = process.env.GRIDWATCH_BINARY ?? join(root, 'target/release/gridwatch')
export const token = 'open-sesame-for-tests'

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

/** A process that can be ended and started again, at the same port and in the same folder. */
export class Host {
  /** `source`: the table [source] and whatever else the configuration needs. `files`: written beside it first. */
  static async make(name, source, detectors, files = {}) {
    const host = new Host()
    host.name = name
    host.dir = mkdtempSync(join(tmpdir(), `gridwatch-browser-${name}-`))
    host.port = await freePort()
    host.url = `http://127.0.0.1:${host.port}`
    host.detectors = join(host.dir, 'detectors')
    mkdirSync(host.detectors)
    for (const detector of detectors) copyFileSync(join(root, 'detectors', `${detector}.wasm`), host.wasm(detector))
    for (const [file, write] of Object.entries(files)) write(join(host.dir, file))
    writeFileSync(join(host.dir, 'token'), `${token}\n`)
    writeFileSync(
      join(host.dir, 'gridwatch.toml'),
      `${source}
[sink]
kind = "file"
path = "anomalies.jsonl"
[checkpoints]
interval = "5s"
[engine]
commit_interval = "250ms"
[api]
listen = "127.0.0.1:${host.port}"
token_file = "token"
[metrics]
listen = "127.0.0.1:0"
`,
    )
    return host
  }

  wasm(detector) {
    return join(this.detectors, `${detector}.wasm`)
  }

  /** More readings, for a host that follows a file. */
  feed(readings) {
    appendFileSync(join(this.dir, 'readings.jsonl'), readings.map((reading) => `${JSON.stringify(reading)}\n`).join(''))
  }

  async start() {
    const log = createWriteStream(join(this.dir, 'log'), { flags: 'a' })
    this.process = spawn(binary, ['run', '-c', 'gridwatch.toml'], { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout.pipe(log)
    this.process.stderr.pipe(log)
    this.ended = new Promise((done) => this.process.once('exit', (code, signal) => done(signal ?? code)))
    let over = false
    void this.ended.then(() => (over = true))
    await until(`${this.name} is ready`, 60_000, async () => {
      if (over) throw new Error(`${this.name} ended: ${this.log()}`)
      const answer = await fetch(`${this.url}/readyz`).catch(() => null)
      return answer?.ok
    })
  }

  async stop(signal = 'SIGTERM') {
    if (this.process === undefined) return
    this.process.kill(signal)
    await this.ended
    this.process = undefined
  }

  async remove() {
    await this.stop('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }

  log() {
    return readFileSync(join(this.dir, 'log'), 'utf8').split('\n').slice(-30).join('\n')
  }

  async get(path) {
    const answer = await fetch(`${this.url}/api/v1${path}`)
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
}

/** Waits for a thing itself; says what it waited for when it does not come. */
export async function until(what, ms, ask) {
  const end = Date.now() + ms
  for (;;) {
    const found = await ask()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${ms / 1000} s in vain: ${what}`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

/** The same module with another digest: an empty custom section of its own behind it. */
export function rebuilt(wasm, mark) {
  const bytes = readFileSync(wasm)
  const name = Buffer.from(mark)
  return Buffer.concat([bytes, Buffer.from([0, name.length + 1, name.length]), name])
}

/** The truth about a simulated grid's faults, oldest first. */
export async function faults(seed, dir) {
  const file = join(dir, 'labels.jsonl')
  const run = spawn(binary, ['simulate', '--seed', String(seed), '--labels', file], { stdio: ['ignore', 'ignore', 'inherit'] })
  const code = await new Promise((done) => run.once('exit', done))
  if (code !== 0) throw new Error(`gridwatch simulate ended with ${code}`)
  return readFileSync(file, 'utf8').trim().split('\n').map(JSON.parse).sort((a, b) => a.start - b.start)
}

/** 100,000 sensors, of which 6,000 swell for a minute: 12,000 anomalies. And two records that are no readings. */
export function manySensors(file) {
  const start = Date.parse('2026-01-01T00:00:00Z')
  const lines = []
  for (let step = 0; step < 3; step += 1)
    for (let i = 0; i < (step === 0 ? 100_000 : 6_000); i += 1)
      lines.push(
        `{"sensor_id":"meter-${String(i).padStart(6, '0')}","timestamp":${start + step * 60_000},"voltage":${step === 1 ? 276.5 : 230.2},"location":"feeder-${String(i % 500).padStart(3, '0')}"}`,
      )
  lines.push('this is no reading', '{"sensor_id":"meter-000001","timestamp":"yesterday","voltage":230}')
  writeFileSync(file, `${lines.join('\n')}\n`)
}
