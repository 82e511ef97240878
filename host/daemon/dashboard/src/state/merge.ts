// How lists grow: newest first, each id once, bounded.

export interface Identified {
  id: string
}

/** Puts `fresh` (oldest first, as they came) before `items`, without what is there already. */
export function prepend<T extends Identified>(items: readonly T[], fresh: readonly T[], most: number): T[] {
  const known = new Set(items.map((item) => item.id))
  const added: T[] = []
  for (const item of fresh) {
    if (known.has(item.id)) continue
    known.add(item.id)
    added.push(item)
  }
  return added.length === 0 ? (items as T[]) : added.reverse().concat(items).slice(0, most)
}

/** Adds an older page behind `items`. */
export function append<T extends Identified>(items: readonly T[], page: readonly T[], most: number): T[] {
  const known = new Set(items.map((item) => item.id))
  return items.concat(page.filter((item) => !known.has(item.id))).slice(0, most)
}

/**
 * Sets a page of the newest on top of what was known. Where the page reaches down to a known one, the known ones go on
 * behind it; where it does not, something between is missing, and the page alone must stay (`null`).
 */
export function join<T extends Identified>(items: readonly T[], page: readonly T[], most: number): T[] | null {
  const last = page.at(-1)
  if (last === undefined || !items.some((item) => item.id === last.id)) return null
  const inPage = new Set(page.map((item) => item.id))
  return page.concat(items.filter((item) => !inPage.has(item.id))).slice(0, most)
}
