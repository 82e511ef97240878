// Readings come in the order in which they were received, and meters’ clocks run backwards now and then; a plot wants
// them in the order of their times.

import type { Points, Window } from '../api/types'

function byTime(timestamps: readonly number[]): number[] | null {
  if (timestamps.every((ms, i) => i === 0 || (timestamps[i - 1] ?? ms) <= ms)) return null
  return timestamps.map((_, i) => i).sort((a, b) => (timestamps[a] ?? 0) - (timestamps[b] ?? 0) || a - b)
}

function picked<T>(column: readonly T[], order: readonly number[]): T[] {
  return order.map((i) => column[i] as T)
}

function points<P extends Points>(of: P): P {
  const order = byTime(of.timestamps)
  return order === null ? of : { ...of, timestamps: picked(of.timestamps, order), values: picked(of.values, order) }
}

/** The same window in the order of event time. */
export function inOrder(window: Window): Window {
  const order = byTime(window.points.timestamps)
  const neighbours = window.neighbours.map(points)
  if (order === null) return { ...window, neighbours }
  const trace = window.trace
  return {
    ...window,
    neighbours,
    points: points(window.points),
    trace: trace && {
      detector: trace.detector,
      score: picked(trace.score, order),
      expected: picked(trace.expected, order),
      lower: picked(trace.lower, order),
      upper: picked(trace.upper, order),
    },
  }
}
