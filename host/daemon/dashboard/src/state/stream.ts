// The one stream of events from the server, and what it tells: the overview each second, lanes, detectors that
// changed, anomalies. Notices within seconds that the server is silent, says so, and comes back by itself.

import { batch, signal } from '@preact/signals'
import { ApiError, get } from '../api/client'
import { EventParser, pauseMs, type ServerEvent } from '../api/sse'
import type { Anomaly, Detector, HistoryEntry, Lane, Overview, Page } from '../api/types'

/** The overview comes each second; this long without a byte means that nobody is there. */
const silenceMsMax = 4_000
const rateSeconds = 300
const flushMs = 200
/** A hidden page keeps no more than this for its return. */
const bufferMax = 2_000

export interface Link {
  state: 'connecting' | 'live' | 'lost'
  /** When the state began, by the wall clock. */
  since: number
  retryAt: number | null
  why: string
}

export const link = signal<Link>({ state: 'connecting', since: Date.now(), retryAt: null, why: '' })
export const overview = signal<Overview | null>(null)
export const lanes = signal<Lane[] | null>(null)
export const detectors = signal<Detector[] | null>(null)
/** Readings a second, oldest first, one value a second. */
export const rates = signal<number[]>([])
/** Grows with every (re)connection: what was fetched before may be old now. */
export const epoch = signal(0)
/** The last word of each detector's history that came while this page was open. */
export const news = signal<{ detector: string; entry: HistoryEntry } | null>(null)

export type Batch = { anomalies: Anomaly[]; skipped: number }
const listeners = new Set<(batch: Batch) => void>()

export function onAnomalies(listener: (batch: Batch) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

let buffered: Anomaly[] = []
let skipped = 0
let flushing = false
let lastEventId: string | null = null
let wake: (() => void) | null = null

function flush(): void {
  flushing = false
  const said: Batch = { anomalies: buffered, skipped }
  buffered = []
  skipped = 0
  batch(() => listeners.forEach((listener) => listener(said)))
}

function soon(): void {
  if (flushing) return
  flushing = true
  setTimeout(flush, flushMs)
}

function takeOverview(said: Overview): void {
  overview.value = said
  rates.value = [...rates.value.slice(1 - rateSeconds), said.readings_per_second]
}

function takeDetector(said: Detector): void {
  const known = detectors.value ?? []
  const at = known.findIndex((detector) => detector.name === said.name)
  detectors.value = at < 0 ? [...known, said] : known.map((detector, i) => (i === at ? said : detector))
}

function take(event: ServerEvent): void {
  if (event.id !== null) lastEventId = event.id
  switch (event.name) {
    case 'overview':
      return takeOverview(JSON.parse(event.data) as Overview)
    case 'lane': {
      const said = JSON.parse(event.data) as Lane[] | { items: Lane[] }
      lanes.value = Array.isArray(said) ? said : said.items
      return
    }
    case 'detector':
      return takeDetector(JSON.parse(event.data) as Detector)
    case 'history':
      news.value = JSON.parse(event.data) as { detector: string; entry: HistoryEntry }
      void refreshDetectors()
      return
    case 'anomaly':
      buffered.push(JSON.parse(event.data) as Anomaly)
      if (buffered.length > bufferMax) {
        buffered.shift()
        skipped += 1
      }
      return soon()
    case 'skipped': {
      const said: unknown = JSON.parse(event.data)
      skipped += typeof said === 'number' ? said : ((said as { n?: number }).n ?? 1)
      return soon()
    }
  }
}

export async function refreshDetectors(): Promise<void> {
  try {
    detectors.value = (await get<Page<Detector>>('/detectors', { limit: 500 })).items
  } catch {
    // The stream says when the server is lost; the next change or reconnection asks again.
  }
}

async function first(signal: AbortSignal): Promise<void> {
  const [said, listed, running] = await Promise.all([
    get<Overview>('/overview', {}, signal),
    get<Page<Lane>>('/lanes', { limit: 500 }, signal),
    get<Page<Detector>>('/detectors', { limit: 500 }, signal),
  ])
  batch(() => {
    takeOverview(said)
    lanes.value = listed.items
    detectors.value = running.items
  })
}

/** Returns where the server ends the stream in good order, as it does with old ones. */
async function listen(): Promise<void> {
  const control = new AbortController()
  let left = false
  leave = () => {
    left = true
    control.abort()
  }
  let silence = setTimeout(() => control.abort(), silenceMsMax)
  const heard = (): void => {
    clearTimeout(silence)
    silence = setTimeout(() => control.abort(), silenceMsMax)
  }
  try {
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    if (lastEventId !== null) headers['last-event-id'] = lastEventId
    const answer = await fetch('/api/v1/events', { headers, cache: 'no-store', credentials: 'omit', signal: control.signal })
    if (!answer.ok || answer.body === null) {
      throw new ApiError(answer.status, answer.status === 503 ? 'it has as many open pages as it takes' : `it answered ${answer.status}`)
    }
    heard()
    await first(control.signal)
    batch(() => {
      link.value = { state: 'live', since: Date.now(), retryAt: null, why: '' }
      epoch.value += 1
    })
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
    const parser = new EventParser()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard()
      const events = parser.push(value)
      batch(() => events.forEach(take))
    }
  } catch (error) {
    if (left) return
    if (control.signal.aborted) throw new ApiError(0, `nothing was heard for ${silenceMsMax / 1000} s`)
    throw error
  } finally {
    leave = null
    clearTimeout(silence)
    control.abort()
  }
}

/** A page that nobody sees gives its connection back: a browser has six for a server, whatever the number of pages. */
const hiddenMsMax = 15_000
let leave: (() => void) | null = null

function shown(): Promise<void> {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden) return
      document.removeEventListener('visibilitychange', look)
      resolve()
    }
    document.addEventListener('visibilitychange', look)
  })
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) setTimeout(() => document.hidden && leave?.(), hiddenMsMax)
})

/** Connects, and connects again for as long as the page lives. */
export async function connect(): Promise<void> {
  let attempt = 0
  for (;;) {
    await shown()
    const before = Date.now()
    try {
      await listen()
      attempt = 0
      // Come back at once: only if that fails something is wrong. Not in a tight circle, though.
      if (Date.now() - before < 1000) await new Promise((resolve) => setTimeout(resolve, 1000))
    } catch (error) {
      if (link.value.state === 'live' && Date.now() - before > 10_000) attempt = 0
      const why = error instanceof ApiError ? error.message : 'it does not answer'
      const pause = pauseMs(attempt, Math.random())
      attempt += 1
      const since = link.value.state === 'lost' ? link.value.since : Date.now()
      link.value = { state: 'lost', since, retryAt: Date.now() + pause, why }
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, pause)
      })
    }
  }
}

/** Costs and counts of detectors change all the time, and one that leaves is told by nobody. */
setInterval(() => {
  if (link.value.state === 'live' && !document.hidden) void refreshDetectors()
}, 3000)

/** Tries at once instead of after the pause. */
export function retryNow(): void {
  wake?.()
}

addEventListener('online', retryNow)
