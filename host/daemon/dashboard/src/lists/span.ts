// Which rows of a long list are in the page.

export interface Span {
  first: number
  /** One behind the last. */
  end: number
}

/** Never more rows than this are in the page, however high the screen. */
export const rowsMax = 150
const beyond = 8

export function visible(scrollTop: number, height: number, rowHeight: number, count: number): Span {
  if (count <= 0 || rowHeight <= 0) return { first: 0, end: 0 }
  const from = Math.min(Math.max(0, Math.floor(scrollTop / rowHeight)), count - 1)
  const rows = Math.ceil(Math.max(0, height) / rowHeight) + 1
  const first = Math.max(0, from - beyond)
  return { first, end: Math.min(count, from + rows + beyond, first + rowsMax) }
}

/** The least change of `scrollTop` that brings row `index` into view. */
export function reveal(index: number, scrollTop: number, height: number, rowHeight: number): number {
  const top = index * rowHeight
  if (top < scrollTop) return top
  if (top + rowHeight > scrollTop + height) return Math.max(0, top + rowHeight - height)
  return scrollTop
}

/** Where a key leads from row `index`; `null` if the key means nothing in a list. */
export function step(key: string, index: number, count: number, page: number, letters: boolean): number | null {
  const within = (to: number): number => Math.min(Math.max(0, to), count - 1)
  switch (key) {
    case 'ArrowDown':
      return within(index + 1)
    case 'ArrowUp':
      return within(index - 1)
    case 'PageDown':
      return within(index + page)
    case 'PageUp':
      return within(index - page)
    case 'Home':
      return 0
    case 'End':
      return count - 1
  }
  if (letters && key === 'j') return within(index + 1)
  if (letters && key === 'k') return within(index - 1)
  return null
}
