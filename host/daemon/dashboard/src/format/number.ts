// Numbers as people read them. Every function takes what may be missing and answers with a dash.

export const none = '–'

type Maybe = number | null | undefined

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

export function count(value: Maybe): string {
  return value === null || value === undefined || !Number.isFinite(value) ? none : whole.format(value)
}

/** Four significant places at most, with k, M, G: for tiles and axes. */
export function short(value: Maybe): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return none
  const size = Math.abs(value)
  if (size < 10_000) return size >= 100 || Number.isInteger(value) ? whole.format(value) : trimmed(value, 3)
  if (size < 1e6) return `${trimmed(value / 1e3, 3)}k`
  if (size < 1e9) return `${trimmed(value / 1e6, 3)}M`
  return `${trimmed(value / 1e9, 3)}G`
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toPrecision(digits)))
}

/** A measured value: six significant places, no exponent for what a grid measures. */
export function measured(value: Maybe, unit?: string | null): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return none
  const size = Math.abs(value)
  const text =
    size !== 0 && (size < 1e-4 || size >= 1e9)
      ? value.toExponential(3)
      : new Intl.NumberFormat('en', { maximumSignificantDigits: 6 }).format(value)
  return unit === null || unit === undefined || unit === '' ? text : `${text} ${unit}`
}

export function bytes(value: Maybe): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return none
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = value
  let unit = 0
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024
    unit += 1
  }
  return `${unit === 0 ? whole.format(size) : trimmed(size, 3)} ${units[unit]}`
}

export function nanoseconds(value: Maybe): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return none
  if (value < 1e4) return `${whole.format(value)} ns`
  if (value < 1e7) return `${trimmed(value / 1e3, 3)} µs`
  return `${trimmed(value / 1e6, 3)} ms`
}

export function percent(value: Maybe): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return none
  const hundredths = value * 100
  return `${hundredths !== 0 && Math.abs(hundredths) < 10 ? trimmed(hundredths, 2) : whole.format(hundredths)} %`
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}
