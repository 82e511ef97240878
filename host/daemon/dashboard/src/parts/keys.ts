// Shortcuts that work wherever one is. Letters alone can be switched off.

import { useLayoutEffect } from 'preact/hooks'
import { go, to } from '../router'
import { letters, theme, dark, zone } from '../state/settings'

export const table: [string, string][] = [
  ['/', 'Search or filter'],
  ['j  k  ↓  ↑', 'Next and previous row; on an anomaly’s page the next and previous one'],
  ['Page ↓ ↑  Home  End', 'Far steps in a list'],
  ['Enter', 'Open the row'],
  ['Esc', 'Leave a field or dialog; go back'],
  ['1 … 5', 'Overview, Anomalies, Detectors, Sensors, Dead letters'],
  ['p', 'Pause or resume the live list'],
  ['t', 'Dark or light'],
  ['z', 'UTC or local time'],
  ['?', 'These keys'],
]

const pages = [[], ['anomalies'], ['detectors'], ['sensors'], ['dead-letters']]

type Own = (key: string) => boolean

const pageKeys = new Set<Own>()

/** What the page that is shown does with a key; true if it did something. It listens as soon as one sees it. */
export function usePageKeys(own: Own, inputs: readonly unknown[]): void {
  useLayoutEffect(() => {
    pageKeys.add(own)
    return () => void pageKeys.delete(own)
  }, inputs)
}

function focusList(): boolean {
  const list = document.querySelector<HTMLElement>('main [data-list]')
  const row = list?.querySelector<HTMLElement>('[data-active]') ?? list
  if (row === null || row === undefined) return false
  row.focus()
  return true
}

function onKeyDown(event: KeyboardEvent, help: () => void): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
  const target = event.target as HTMLElement
  const typing = target.matches('input:not([type=checkbox]), textarea, select')
  if (document.querySelector('dialog[open]') !== null) return
  if (event.key === 'Escape') {
    if (typing) target.blur()
    else if (target !== document.body && target.tagName !== 'MAIN' && !target.closest('[data-list]')) target.blur()
    else if (location.hash.split('/').length > 2) history.back()
    return
  }
  if (typing) return
  const done = (did: boolean): void => {
    if (did) event.preventDefault()
  }
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    if (target === document.body || target.tagName === 'MAIN') done(focusList())
    return
  }
  if (letters.value === 'off') return
  for (const own of pageKeys) if (own(event.key)) return done(true)
  switch (event.key) {
    case '/': {
      const field = document.querySelector<HTMLInputElement>('main input[type=search]')
      if (field === null) go(to('sensors'))
      else field.focus()
      field?.select()
      return done(true)
    }
    case 'j':
    case 'k':
      return done(focusList())
    case 't':
      theme.value = dark.value ? 'light' : 'dark'
      return done(true)
    case 'z':
      zone.value = zone.value === 'utc' ? 'local' : 'utc'
      return done(true)
    case '?':
      help()
      return done(true)
  }
  const page = pages[Number(event.key) - 1]
  if (page !== undefined) {
    go(to(...page))
    done(true)
  }
}

export function listenToKeys(help: () => void): () => void {
  const listener = (event: KeyboardEvent): void => onKeyDown(event, help)
  document.addEventListener('keydown', listener)
  return () => document.removeEventListener('keydown', listener)
}
