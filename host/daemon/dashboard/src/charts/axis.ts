// Labels of time axes, 24 hours a day, in the zone that was chosen. Charts count in milliseconds.

import uPlot from 'uplot'
import type { Zone } from '../format/time'
import { clock, dateTime } from '../format/time'
import { short } from '../format/number'

export function tzDate(zone: Zone): (ms: number) => Date {
  return (ms) => (zone === 'utc' ? uPlot.tzDate(new Date(ms), 'Etc/UTC') : new Date(ms))
}

export function timeLabels(zone: Zone): (u: uPlot, splits: number[], axis: number, space: number, step: number) => string[] {
  return (_u, splits, _axis, _space, step) => {
    const days = splits.map((ms) => dateTime(ms, zone).slice(0, 10))
    return splits.map((ms, i) => {
      const date = days[i] ?? ''
      if (step >= 86_400_000) return date.slice(5)
      const label = step >= 60_000 ? clock(ms, zone).slice(0, 5) : clock(ms, zone)
      // The day below its first label, unless the next day begins too soon to leave it room.
      const turned = i === 0 ? days[2] === date || splits.length < 3 : date !== days[i - 1]
      return turned ? `${label}\n${date}` : label
    })
  }
}

export function valueLabels(_u: uPlot, splits: number[]): string[] {
  const span = Math.abs((splits.at(-1) ?? 0) - (splits[0] ?? 0))
  const top = Math.max(...splits.map(Math.abs), 0)
  // Where ticks are closer than what `short` keeps, more places are needed to tell them apart.
  if (top >= 1000 && span / top > 0.02) return splits.map(short)
  const step = Math.abs((splits[1] ?? 0) - (splits[0] ?? 0))
  let places = 0
  while (places < 6 && Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) > 1e-6) places += 1
  return splits.map((value) => value.toLocaleString('en', { maximumFractionDigits: places }))
}
