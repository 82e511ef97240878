// Sums for stacked bars.

import type { Overview, Severity, Timeline } from '../api/types'

/** Running sums over `layers`, so that layer n is drawn from what lies below it up to its own sum. */
export function stacked(layers: readonly (readonly number[])[]): number[][] {
  let below: number[] = []
  return layers.map((layer) => {
    below = layer.map((value, i) => value + (below[i] ?? 0))
    return below
  })
}

export interface Layers {
  names: string[]
  counts: number[][]
  times: number[]
}

const order: Severity[] = ['critical', 'warning', 'info']

export function layers(timeline: Timeline, by: 'detector' | 'severity'): Layers {
  const start = Date.parse(timeline.start)
  // By name, so that a detector keeps its colour, whichever spoke first.
  const names = [...timeline.detectors].sort()
  const of = (name: string): number[] => timeline.counts[timeline.detectors.indexOf(name)] ?? []
  const counts = by === 'detector' ? names.map(of) : order.map((severity) => timeline.by_severity[severity] ?? [])
  const buckets = Math.max(0, ...counts.map((layer) => layer.length))
  const filled = counts.map((layer) => Array.from({ length: buckets }, (_, i) => layer[i] ?? 0))
  return {
    names: by === 'detector' ? names : order,
    counts: filled,
    times: Array.from({ length: buckets }, (_, i) => start + i * timeline.bucket_seconds * 1000),
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

export function openEpisodes(overview: Overview): number {
  return sum(Object.values(overview.open_episodes))
}
