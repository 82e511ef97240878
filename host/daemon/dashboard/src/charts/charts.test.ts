import { describe, expect, test } from 'vitest'
import type { Timeline } from '../api/types'
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
