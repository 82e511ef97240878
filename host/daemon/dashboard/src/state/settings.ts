// What the person at this browser chose. Kept in the browser; the token only until its tab closes.

import { effect, signal } from '@preact/signals'
import type { Zone } from '../format/time'

export type Theme = 'system' | 'dark' | 'light'

function stored<T extends string>(key: string, values: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(key) as T | null
    return value !== null && values.includes(value) ? value : otherwise
  } catch {
    return otherwise // Storage is forbidden here; choices last as long as the page.
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // As above.
  }
}

export const theme = signal<Theme>(stored('gridwatch.theme', ['system', 'dark', 'light'], 'system'))
export const zone = signal<Zone>(stored('gridwatch.zone', ['utc', 'local'], 'utc'))
/** Whether single letters are shortcuts; who speaks to the machine wants them off. */
export const letters = signal<'on' | 'off'>(stored('gridwatch.keys', ['on', 'off'], 'on'))

const system = matchMedia('(prefers-color-scheme: dark)')
/** The theme that is seen. */
export const dark = signal(system.matches)

effect(() => {
  keep('gridwatch.theme', theme.value)
  dark.value = theme.value === 'system' ? system.matches : theme.value === 'dark'
})
effect(() => {
  document.documentElement.dataset['theme'] = dark.value ? 'dark' : 'light'
})
effect(() => keep('gridwatch.zone', zone.value))
effect(() => keep('gridwatch.keys', letters.value))
system.addEventListener('change', () => {
  if (theme.value === 'system') dark.value = system.matches
})

export const token = {
  get: (): string | null => {
    try {
      return sessionStorage.getItem('gridwatch.token')
    } catch {
      return null
    }
  },
  set: (value: string | null): void => {
    try {
      if (value === null) sessionStorage.removeItem('gridwatch.token')
      else sessionStorage.setItem('gridwatch.token', value)
    } catch {
      // It is then asked for each time.
    }
  },
}
