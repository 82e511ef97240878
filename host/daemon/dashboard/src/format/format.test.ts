import { describe, expect, test } from 'vitest'
import { bytes, count, measured, nanoseconds, none, percent, plural, short } from './number'
import { ago, clock, dateTime, dayTime, duration, toMs } from './time'

describe('numbers', () => {
  test('what is missing is a dash, never NaN', () => {
    for (const form of [count, short, measured, bytes, nanoseconds, percent]) {
      expect(form(null)).toBe(none)
      expect(form(undefined)).toBe(none)
      expect(form(Number.NaN)).toBe(none)
      expect(form(Infinity)).toBe(none)
    }
  })

  test('tiles stay short and say the size', () => {
    expect(short(0)).toBe('0')
    expect(short(0.1234)).toBe('0.123')
    expect(short(1204)).toBe('1,204')
    expect(short(46_743)).toBe('46.7k')
    expect(short(2_069_651)).toBe('2.07M')
    expect(short(3.2e9)).toBe('3.2G')
  })

  test('measured values keep what a meter resolves', () => {
    expect(measured(230.12, 'V')).toBe('230.12 V')
    expect(measured(28451.259)).toBe('28,451.3')
    expect(measured(0.00001)).toBe('1.000e-5')
    expect(measured(-0.97)).toBe('-0.97')
    expect(measured(0, 'W')).toBe('0 W')
  })

  test('units change where the figure would get long', () => {
    expect(bytes(1023)).toBe('1,023 B')
    expect(bytes(1536)).toBe('1.5 KiB')
    expect(bytes(64 << 20)).toBe('64 MiB')
    expect(nanoseconds(464)).toBe('464 ns')
    expect(nanoseconds(15_300)).toBe('15.3 µs')
    expect(percent(0.0325)).toBe('3.3 %')
    expect(percent(0.5)).toBe('50 %')
    expect(plural(1, 'reading')).toBe('1 reading')
    expect(plural(1200, 'reading')).toBe('1,200 readings')
  })
})

describe('times', () => {
  const at = '2026-01-06T04:18:07.250Z'

  test('UTC is what the server said', () => {
    expect(dateTime(at, 'utc')).toBe('2026-01-06 04:18:07')
    expect(dateTime(at, 'utc', true)).toBe('2026-01-06 04:18:07.250')
    expect(dayTime(at, 'utc')).toBe('01-06 04:18:07')
    expect(clock(at, 'utc')).toBe('04:18:07')
  })

  test('local is the zone of the browser', () => {
    const local = new Date(at)
    expect(clock(at, 'local')).toBe(local.toTimeString().slice(0, 8))
  })

  test('no time is a dash', () => {
    expect(dateTime(null, 'utc')).toBe(none)
    expect(dateTime('yesterday', 'utc')).toBe(none)
    expect(toMs(1e18)).toBeNull()
  })

  test('lengths are told in two units, and never as 60 s', () => {
    expect(duration(0.44)).toBe('0.4 s')
    expect(duration(59.4)).toBe('59 s')
    expect(duration(59.9)).toBe('1 min')
    expect(duration(65)).toBe('1 min 05 s')
    expect(duration(3599.9)).toBe('1 h')
    expect(duration(11_100)).toBe('3 h 05 min')
    expect(duration(86_399)).toBe('1 d')
    expect(duration(7 * 86_400 + 3600)).toBe('7 d 1 h')
    expect(duration(-65)).toBe('−1 min 05 s')
  })

  test('ago does not go below now', () => {
    const now = Date.parse(at)
    expect(ago(at, now - 5000)).toBe('now')
    expect(ago(at, now + 61_000)).toBe('1 min 01 s ago')
  })
})
