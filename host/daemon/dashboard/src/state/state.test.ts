import { describe, expect, test } from 'vitest'
import type { Anomaly } from '../api/types'
import { query } from '../api/client'
import { everything, fromSearch, isEverything, matches, toQuery } from './filter'
import { append, join, prepend } from './merge'

const row = (id: string): { id: string } => ({ id })
const ids = (rows: { id: string }[] | null): string | null => rows && rows.map((one) => one.id).join('')

describe('growing lists', () => {
  test('what streams in comes to the top, newest first', () => {
    expect(ids(prepend([row('b'), row('a')], [row('c'), row('d')], 10))).toBe('dcba')
  })

  test('what was told twice is there once', () => {
    expect(ids(prepend([row('b'), row('a')], [row('b'), row('c'), row('c')], 10))).toBe('cba')
    expect(ids(append([row('c'), row('b')], [row('b'), row('a')], 10))).toBe('cba')
  })

  test('nothing new leaves the very list, so that nothing is drawn', () => {
    const items = [row('a')]
    expect(prepend(items, [row('a')], 10)).toBe(items)
  })

  test('lists are bounded; the oldest go', () => {
    expect(ids(prepend([row('b'), row('a')], [row('c')], 2))).toBe('cb')
  })

  test('after a lost connection the page and the known ones meet', () => {
    expect(ids(join([row('b'), row('a')], [row('d'), row('c'), row('b')], 10))).toBe('dcba')
  })

  test('a gap is not glued over', () => {
    expect(join([row('b'), row('a')], [row('f'), row('e')], 10)).toBeNull()
    // Some of the page was streamed already, but what is between is not known.
    expect(join([row('f'), row('a')], [row('f'), row('e'), row('d')], 10)).toBeNull()
  })
})

describe('filters', () => {
  const anomaly: Anomaly = {
    id: '1',
    episode: '2',
    phase: 'raised',
    detector: 'limits',
    detector_version: '0.1.0',
    detector_digest: 'sha256:00',
    sensor_id: 'meter-000123',
    quantity: 'voltage_l1',
    kind: 'swell',
    severity: 'critical',
    score: 1,
    timestamp: '2026-01-01T00:00:00.000Z',
    since: '2026-01-01T00:00:00.000Z',
    explanation: 'above 253 V',
    attributes: {},
    source: {},
  }

  test('each part narrows', () => {
    expect(matches(everything, anomaly)).toBe(true)
    expect(matches({ ...everything, severity: ['info', 'critical'] }, anomaly)).toBe(true)
    expect(matches({ ...everything, severity: ['info'] }, anomaly)).toBe(false)
    expect(matches({ ...everything, phase: ['cleared'] }, anomaly)).toBe(false)
    expect(matches({ ...everything, detector: 'shift' }, anomaly)).toBe(false)
    expect(matches({ ...everything, kind: 'swell', detector: 'limits' }, anomaly)).toBe(true)
    expect(matches({ ...everything, sensor: 'meter-000124' }, anomaly)).toBe(false)
  })

  test('words are looked for in all that is said, in any case', () => {
    for (const text of ['METER-000123', 'swell', '253 v', 'limits']) expect(matches({ ...everything, text }, anomaly)).toBe(true)
    expect(matches({ ...everything, text: 'feeder' }, anomaly)).toBe(false)
  })

  test('an address says a filter, and nonsense in it says nothing', () => {
    const filter = { ...everything, severity: ['critical', 'warning'] as const, detector: 'limits', text: 'a b' }
    const search = new URLSearchParams(query(toQuery({ ...filter, severity: [...filter.severity] })))
    expect(fromSearch(search)).toEqual({ ...filter, severity: [...filter.severity] })
    expect(isEverything(fromSearch(new URLSearchParams('severity=none&x=1')))).toBe(true)
  })
})
