import { describe, expect, test } from 'vitest'
import type { Timeline, Window } from '../api/types'
import { inOrder } from './order'
import { sparkPath } from './sparkline'
import { layers, stacked, sum } from './stack'

describe('stacked bars', () => {
  const timeline: Timeline = {
    bucket_seconds: 60,
    start: '2026-01-01T00:00:00.000Z',
    detectors: ['limits', 'shift'],
    counts: [[1, 2, 3], [4, 0]],
    by_severity: { info: [0, 1, 2], warning: [5, 1, 1], critical: [0, 0, 0] },
  }

  test('each lies on those before it', () => {
    expect(stacked([[1, 2], [3, 4], [0, 1]])).toEqual([[1, 2], [4, 6], [4, 7]])
  })

  test('a detector that came late has zeros before', () => {
    const { counts, times } = layers(timeline, 'detector')
    expect(counts).toEqual([[1, 2, 3], [4, 0, 0]])
    expect(times[2]! - times[0]!).toBe(120_000)
  })

  test('severities are in the order of their weight', () => {
    const { names, counts } = layers(timeline, 'severity')
    expect(names).toEqual(['critical', 'warning', 'info'])
    expect(counts.map(sum)).toEqual([0, 7, 3])
  })

  test('nothing yet is nothing, not an error', () => {
    expect(layers({ ...timeline, detectors: [], counts: [] }, 'detector')).toEqual({ names: [], counts: [], times: [] })
  })
})

describe('sparkline', () => {
  test('fills from the right and stays in its box', () => {
    const { line } = sparkPath([0, 5, 10], 240, 40, 61)
    const points = line.slice(1).split('L').map((point) => point.split(',').map(Number))
    expect(points[0]![0]).toBe(232)
    expect(points.at(-1)![0]).toBe(240)
    for (const [, y] of points) expect(y! >= 0 && y! <= 40).toBe(true)
  })

  test('of nothing or of zeros is no NaN', () => {
    expect(sparkPath([], 240, 40, 60).line).toBe('')
    expect(sparkPath([0, 0], 240, 40, 60).line).not.toContain('NaN')
  })
})

describe('readings whose clock ran backwards', () => {
  const window: Window = {
    sensor_id: 'a',
    quantity: 'voltage',
    unit: 'V',
    from: '',
    to: '',
    points: { timestamps: [10, 30, 20, 30], values: [1, 3, null, 4] },
    trace: { detector: 'shift', score: [0.1, 0.3, 0.2, 0.4], expected: [1, 3, 2, 4], lower: [0, 2, 1, 3], upper: [2, 4, 3, 5] },
    neighbours: [{ sensor_id: 'b', timestamps: [2, 1], values: [2, 1] }],
    episodes: [],
    truncated: false,
    why: null,
  }

  test('are plotted in the order of their times, each with its own expectation', () => {
    const { points, trace, neighbours } = inOrder(window)
    expect(points).toEqual({ timestamps: [10, 20, 30, 30], values: [1, null, 3, 4] })
    expect(trace?.expected).toEqual([1, 2, 3, 4])
    expect(trace?.score).toEqual([0.1, 0.2, 0.3, 0.4])
    expect(neighbours[0]).toEqual({ sensor_id: 'b', timestamps: [1, 2], values: [1, 2] })
  })

  test('and those in order stay the very same', () => {
    const straight = { ...window, points: { timestamps: [1, 1, 2], values: [1, 2, 3] } }
    expect(inOrder(straight).points).toBe(straight.points)
  })
})
