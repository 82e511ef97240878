// Times in UTC or in the browser's zone. Event time and wall time look alike and are labelled where they are shown.

import { none } from './number'

export type Zone = 'utc' | 'local'

interface Parts {
  date: string
  clock: string
  millis: string
}

function parts(ms: number, zone: Zone): Parts {
  const at = new Date(zone === 'utc' ? ms : ms - new Date(ms).getTimezoneOffset() * 60_000)
  const text = at.toISOString()
  return { date: text.slice(0, 10), clock: text.slice(11, 19), millis: text.slice(20, 23) }
}

export function toMs(time: string | number | null | undefined): number | null {
  if (time === null || time === undefined) return null
  const ms = typeof time === 'number' ? time : Date.parse(time)
  return Number.isFinite(ms) && Math.abs(ms) < 8e15 ? ms : null
}

/** `2026-01-06 04:18:00`, with milliseconds where there are some and `precise` asks for them. */
export function dateTime(time: string | number | null | undefined, zone: Zone, precise = false): string {
  const ms = toMs(time)
  if (ms === null) return none
  const { date, clock, millis } = parts(ms, zone)
  return `${date} ${clock}${precise && millis !== '000' ? `.${millis}` : ''}`
}

/** `01-06 04:18:00`: for lists, where the year says nothing. */
export function dayTime(time: string | number | null | undefined, zone: Zone): string {
  return toMs(time) === null ? none : dateTime(time, zone).slice(5)
}

export function clock(time: string | number | null | undefined, zone: Zone): string {
  const ms = toMs(time)
  return ms === null ? none : parts(ms, zone).clock
}

/** A length of time in its two largest units: `3 h 05 min`, `41 s`, `0.4 s`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return none
  const size = Math.abs(seconds)
  const sign = seconds < 0 ? '−' : ''
  if (size < 10) return `${sign}${Math.round(size * 10) / 10} s`
  if (size < 59.5) return `${sign}${Math.round(size)} s`
  const two = (value: number, large: number, small: number, names: [string, string], width: number): string => {
    const units = Math.round(value / small)
    const per = large / small
    const rest = units % per
    return `${sign}${Math.floor(units / per)} ${names[0]}${rest === 0 ? '' : ` ${String(rest).padStart(width, '0')} ${names[1]}`}`
  }
  if (size < 3600 - 0.5) return two(size, 60, 1, ['min', 's'], 2)
  if (size < 86_400 - 30) return two(size, 3600, 60, ['h', 'min'], 2)
  return two(size, 86_400, 3600, ['d', 'h'], 1)
}

/** How long ago, of the wall clock. */
export function ago(time: string | number | null | undefined, now: number): string {
  const ms = toMs(time)
  if (ms === null) return none
  const seconds = Math.max(0, (now - ms) / 1000)
  return seconds < 2 ? 'now' : `${duration(Math.round(seconds))} ago`
}
