// A list of any length of which only the visible rows are in the page. A grid to assistive technology: one row has the
// focus, arrows (and j, k) move it, Enter opens it.

import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { letters } from '../state/settings'
import { reveal, step, visible } from './span'

interface Props<T> {
  label: string
  items: readonly T[]
  /** All that there are, where more than `items` could be fetched. */
  total?: number
  keyOf: (item: T) => string
  rowHeight: number
  row: (item: T) => ComponentChildren
  head?: ComponentChildren
  rowClass?: (item: T) => string
  open?: (item: T) => void
  nearEnd?: () => void
  /** Told whether the newest row is out of sight. */
  scrolled?: (scrolled: boolean) => void
  /** Where to begin, and where it was left. */
  memory?: { scrollTop: number; activeId: string | null }
  empty: ComponentChildren
}

export function VirtualList<T>(props: Props<T>) {
  const { items, rowHeight, keyOf } = props
  const box = useRef<HTMLDivElement>(null)
  const [scrollTop, setScrollTop] = useState(props.memory?.scrollTop ?? 0)
  const [height, setHeight] = useState(600)
  const [activeKey, setActiveKey] = useState<string | null>(props.memory?.activeId ?? null)
  const focusing = useRef(false)
  const reading = useRef(false)

  useLayoutEffect(() => {
    const element = box.current
    if (element === null) return
    element.scrollTop = props.memory?.scrollTop ?? 0
    props.scrolled?.(element.scrollTop > rowHeight / 2)
    const observer = new ResizeObserver(() => setHeight(element.clientHeight))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])

  const span = visible(scrollTop, height, rowHeight, items.length)
  const found = activeKey === null ? -1 : items.findIndex((item) => keyOf(item) === activeKey)
  const top = Math.min(Math.ceil(scrollTop / rowHeight), Math.max(0, items.length - 1))
  const active = found < 0 ? top : found
  // The tabulator enters at the active row, or, where that was scrolled away, at the first that is seen.
  const entry = active >= span.first && active < span.end ? active : top

  useEffect(() => {
    if (items.length > 0 && span.end >= items.length - 20) props.nearEnd?.()
  }, [span.end, items.length])

  useLayoutEffect(() => {
    if (!focusing.current) return
    const element = box.current?.querySelector<HTMLElement>('[data-active]')
    if (element === null || element === undefined) return
    focusing.current = false
    element.focus({ preventScroll: true })
  })

  /** The newest row is out of sight, or a row is being read by the keyboard: it must not run away. */
  const tell = (): void => props.scrolled?.(reading.current || (box.current?.scrollTop ?? 0) > rowHeight / 2)

  const remember = (key: string | null): void => {
    setActiveKey(key)
    if (props.memory !== undefined) props.memory.activeId = key
  }

  const move = (index: number): void => {
    const element = box.current
    const item = items[index]
    if (element === null || item === undefined) return
    const head = element.querySelector<HTMLElement>('.list-head')?.offsetHeight ?? 0
    const to = reveal(index, element.scrollTop, element.clientHeight - head, rowHeight)
    if (to !== element.scrollTop) element.scrollTop = to
    setScrollTop(element.scrollTop)
    remember(keyOf(item))
    focusing.current = true
  }

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || items.length === 0) return
    const inRow = event.target === event.currentTarget || (event.target as HTMLElement).hasAttribute('data-active')
    if (event.key === 'Enter' && inRow) {
      const item = items[active]
      if (item !== undefined && props.open !== undefined) {
        event.preventDefault()
        remember(keyOf(item))
        props.open(item)
      }
      return
    }
    const entering = event.target === event.currentTarget
    const to = step(event.key, active, items.length, Math.max(1, Math.floor(height / rowHeight) - 1), letters.value === 'on')
    if (to === null) return
    event.preventDefault()
    event.stopPropagation()
    move(entering && (event.key === 'ArrowDown' || event.key === 'j') ? active : to)
  }

  const onScroll = (): void => {
    const element = box.current
    if (element === null) return
    setScrollTop(element.scrollTop)
    if (props.memory !== undefined) props.memory.scrollTop = element.scrollTop
    tell()
  }

  return (
    <div
      ref={box}
      class="list"
      role="grid"
      aria-label={props.label}
      aria-rowcount={props.total ?? items.length}
      data-list
      data-loaded={items.length}
      tabIndex={items.length === 0 ? 0 : -1}
      onKeyDown={onKeyDown}
      onScroll={onScroll}
      onFocusIn={(event) => {
        reading.current = (event.target as HTMLElement).matches('.row:focus-visible')
        tell()
      }}
      onFocusOut={() => {
        reading.current = false
        tell()
      }}
    >
      {props.head !== undefined && (
        <div class="list-head" role="row">
          {props.head}
        </div>
      )}
      {items.length === 0 ? (
        <div role="row" class="list-empty">
          <div role="gridcell">{props.empty}</div>
        </div>
      ) : (
        <div class="list-body" role="rowgroup" style={{ height: `${items.length * rowHeight}px` }}>
          {items.slice(span.first, span.end).map((item, i) => {
            const index = span.first + i
            const key = keyOf(item)
            return (
              <div
                key={key}
                role="row"
                class={`row ${props.rowClass?.(item) ?? ''}`}
                aria-rowindex={index + 1}
                data-key={key}
                data-active={index === entry ? '' : undefined}
                tabIndex={index === entry ? 0 : -1}
                style={{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }}
                onFocus={() => remember(key)}
                onClick={(event) => {
                  if ((event.target as HTMLElement).closest('a, button') !== null) return
                  if (getSelection()?.isCollapsed === false) return
                  remember(key)
                  props.open?.(item)
                }}
              >
                {props.row(item)}
              </div>
            )
          })}
        </div>
      )}
    </div>
  )
}
