// Where one is, from the part of the address behind `#`: the server has one page.

import { computed, signal } from '@preact/signals'

export interface Place {
  parts: string[]
  search: URLSearchParams
}

function here(): string {
  return location.hash.replace(/^#/, '') || '/'
}

const address = signal(here())
addEventListener('hashchange', () => (address.value = here()))

export function parse(text: string): Place {
  const [path = '', search = ''] = text.split('?', 2)
  return {
    parts: path
      .split('/')
      .filter((part) => part !== '')
      .map((part) => {
        try {
          return decodeURIComponent(part)
        } catch {
          return part
        }
      }),
    search: new URLSearchParams(search),
  }
}

export const place = computed(() => parse(address.value))

export function to(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

export function go(href: string): void {
  location.hash = href
}

/** Changes the address without a step in the history. */
export function replace(href: string): void {
  history.replaceState(null, '', href)
}
