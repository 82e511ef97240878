import { describe, expect, test } from 'vitest'
import { reveal, rowsMax, step, visible } from './span'

describe('rows in the page', () => {
  test('are those in view, and some around', () => {
    const { first, end } = visible(3200, 320, 32, 10_000)
    expect(first).toBe(92)
    expect(end).toBe(119)
  })

  test('never grow with the list or the screen', () => {
    for (const count of [0, 1, 50, 10_000, 100_000])
      for (const height of [0, 320, 1080, 1_000_000])
        for (const scrollTop of [-50, 0, 999, 31.5 * count, 1e9]) {
          const { first, end } = visible(scrollTop, height, 32, count)
          expect(first).toBeGreaterThanOrEqual(0)
          expect(end).toBeLessThanOrEqual(count)
          expect(end - first).toBeLessThanOrEqual(rowsMax)
          if (count > 0) expect(end).toBeGreaterThan(first)
        }
  })
})

describe('moving', () => {
  test('a row out of view is brought to the nearer edge', () => {
    expect(reveal(5, 0, 320, 32)).toBe(0)
    expect(reveal(10, 0, 320, 32)).toBe(32)
    expect(reveal(2, 640, 320, 32)).toBe(64)
  })

  test('keys stay within the list', () => {
    expect(step('ArrowDown', 9, 10, 5, true)).toBe(9)
    expect(step('k', 0, 10, 5, true)).toBe(0)
    expect(step('PageDown', 3, 10, 5, true)).toBe(8)
    expect(step('End', 3, 10, 5, true)).toBe(9)
    expect(step('x', 3, 10, 5, true)).toBeNull()
  })

  test('letters do nothing where they are switched off', () => {
    expect(step('j', 3, 10, 5, false)).toBeNull()
    expect(step('ArrowDown', 3, 10, 5, false)).toBe(4)
  })
})
