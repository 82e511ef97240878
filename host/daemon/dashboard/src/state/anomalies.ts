// A list of anomalies that is both fetched and streamed: newest first, paged to the past as one scrolls, held still
// while one reads.

import { batch, signal } from '@preact/signals'
import { get } from '../api/client'
import type { Anomaly, Page } from '../api/types'
import { everything, matches, toQuery, type Filter } from './filter'
import { append, join, prepend } from './merge'
import { onAnomalies, type Batch } from './stream'

/** As many as the server keeps. */
export const keptMax = 10_000
const pageSize = 200

export class AnomalyList {
  readonly items = signal<Anomaly[]>([])
  /** Came while the list was held still; oldest first. */
  readonly waiting = signal<Anomaly[]>([])
  /** How many match at the server. */
  readonly total = signal(0)
  readonly loading = signal(true)
  readonly error = signal<string | null>(null)
  readonly filter = signal<Filter>(everything)
  readonly paused = signal(false)
  /** Where the list stood when it was left. */
  scrollTop = 0
  activeId: string | null = null
  private next: string | null = null
  private asking = new AbortController()
  private scrolled = false
  private mending = false

  constructor(filter: Filter = everything) {
    this.filter.value = filter
  }

  /** Follows the stream; the answer ends it. */
  follow(): () => void {
    return onAnomalies((said) => this.take(said))
  }

  get more(): boolean {
    return this.next !== null && this.items.value.length < keptMax
  }

  set(filter: Filter): void {
    this.filter.value = filter
    this.scrollTop = 0
    void this.load()
  }

  /** Fetches the newest page; keeps what is known where the two meet. */
  async load(keep = false): Promise<void> {
    this.asking.abort()
    const asking = (this.asking = new AbortController())
    this.loading.value = true
    try {
      const page = await get<Page<Anomaly>>('/anomalies', { ...toQuery(this.filter.value), limit: pageSize }, asking.signal)
      batch(() => {
        const known = this.items.value
        const joined = keep ? join(known, page.items, keptMax) : null
        if (joined !== null && (this.scrollTop > 0 || this.paused.value)) {
          const ids = new Set(known.map((anomaly) => anomaly.id))
          this.waiting.value = page.items.filter((anomaly) => !ids.has(anomaly.id)).reverse()
        } else {
          if (joined === null) this.next = page.next
          this.items.value = joined ?? page.items
          this.waiting.value = []
        }
        this.total.value = page.total
        this.error.value = null
      })
    } catch (error) {
      if (asking.signal.aborted) return
      this.error.value = (error as Error).message
    } finally {
      if (!asking.signal.aborted) this.loading.value = false
    }
  }

  /** The next page of older ones. */
  async older(): Promise<void> {
    if (this.loading.value || !this.more) return
    const asking = this.asking
    this.loading.value = true
    try {
      const page = await get<Page<Anomaly>>(
        '/anomalies',
        { ...toQuery(this.filter.value), limit: 500, cursor: this.next },
        asking.signal,
      )
      batch(() => {
        this.next = page.next
        this.items.value = append(this.items.value, page.items, keptMax)
      })
    } catch (error) {
      if (asking.signal.aborted) return
      this.next = null
      this.error.value = (error as Error).message
    } finally {
      if (!asking.signal.aborted) this.loading.value = false
    }
  }

  /** A list that was scrolled away from its newest row does not move under the reader. */
  hold(scrolled: boolean): void {
    this.scrolled = scrolled
    if (!scrolled && !this.paused.value) this.release()
  }

  pause(paused: boolean): void {
    this.paused.value = paused
    if (!paused && !this.scrolled) this.release()
  }

  release(): void {
    if (this.waiting.value.length === 0) return
    batch(() => {
      this.items.value = prepend(this.items.value, this.waiting.value, keptMax)
      this.waiting.value = []
    })
  }

  /** More came than the stream tells: what is missing is fetched, once in a while. */
  private mend(): void {
    if (this.mending) return
    this.mending = true
    setTimeout(() => {
      this.mending = false
      if (!this.scrolled && !this.paused.value) void this.load(true)
    }, 1000)
  }

  private take(said: Batch): void {
    if (said.skipped > 0) this.mend()
    const wanted = said.anomalies.filter((anomaly) => matches(this.filter.value, anomaly))
    if (wanted.length === 0) return
    this.total.value = Math.min(keptMax, this.total.value + wanted.length)
    if (this.scrolled || this.paused.value) this.waiting.value = this.waiting.value.concat(wanted).slice(-keptMax)
    else this.items.value = prepend(this.items.value, wanted, keptMax)
  }
}

/** The list of the overview and of the page of all anomalies: one, so that going back finds it as it was. */
export const mainList = new AnomalyList()
