import { batch, signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { get, query, type Query } from '../api/client'
import type { Page, Sensor } from '../api/types'
import { count, plural } from '../format/number'
import { VirtualList } from '../lists/virtual'
import { Empty, Trouble } from '../parts/panel'
import { Time } from '../parts/time'
import { useNarrow } from '../parts/narrow'
import { go, place, replace, to } from '../router'
import { epoch } from '../state/stream'

/** `meter 12 location=feeder-07` asks for a part of the id or an attribute, and for exact attributes. */
export function searchTerms(text: string): Query {
  const words: string[] = []
  const asked: Query = {}
  for (const word of text.trim().split(/\s+/)) {
    const equals = word.indexOf('=')
    if (equals > 0 && equals < word.length - 1) asked[`attr.${word.slice(0, equals)}`] = word.slice(equals + 1)
    else if (word !== '') words.push(word)
  }
  asked['q'] = words.join(' ')
  return asked
}

/** Kept between visits, so that going back finds the list where it was. */
const memory = { scrollTop: 0, activeId: null as string | null }
const text = signal('')
const items = signal<Sensor[]>([])
const total = signal(0)
const error = signal<string | null>(null)
const loading = signal(true)
let next: string | null = null
let asking = new AbortController()

async function load(fresh: boolean): Promise<void> {
  if (!fresh && (next === null || loading.value)) return
  if (fresh) asking.abort()
  const control = fresh ? (asking = new AbortController()) : asking
  loading.value = true
  try {
    const page = await get<Page<Sensor>>('/sensors', { ...searchTerms(text.value), limit: 500, cursor: fresh ? null : next }, control.signal)
    batch(() => {
      next = page.next
      items.value = fresh ? page.items : items.value.concat(page.items)
      total.value = page.total
      error.value = null
    })
  } catch (problem) {
    if (control.signal.aborted) return
    error.value = (problem as Error).message
  } finally {
    if (!control.signal.aborted) loading.value = false
  }
}

export function SensorsPage() {
  const narrow = useNarrow()
  const again = epoch.value
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    const asked = place.peek().search.get('q')
    if (asked !== null) text.value = asked
    void load(items.peek().length === 0 || asked !== null || memory.scrollTop === 0)
  }, [again])
  const search = (value: string): void => {
    text.value = value
    clearTimeout(timer.current)
    timer.current = setTimeout(() => {
      memory.scrollTop = 0
      replace(`#/sensors${query({ q: value.trim() })}`)
      void load(true)
    }, 150)
  }
  return (
    <div class="page-fill">
      <div class="page-head">
        <h1>Sensors</h1>
        <p class="muted" role="status">
          {total.value > 0 && (text.value.trim() === '' ? plural(total.value, 'sensor') : plural(total.value, 'sensor matches', 'sensors match'))}
        </p>
      </div>
      <section class="panel grow">
        <div class="panel-body flush">
          <div class="filters">
            <input
              type="search"
              class="wide"
              placeholder="Part of an id or attribute, or location=feeder-03"
              aria-label="Search sensors by a part of their id or of an attribute, or by name=value"
              value={text.value}
              onInput={(event) => search(event.currentTarget.value)}
            />
            <span class="filters-end">
              <span class="counted">{items.value.length < total.value ? `${count(items.value.length)} of ${count(total.value)} loaded` : ''}</span>
            </span>
          </div>
          <div class="anomalies sensors">
            {error.value !== null && items.value.length === 0 ? (
              <Trouble words={error.value} again={() => void load(true)} />
            ) : (
              <VirtualList
                key={text.value === '' ? 'all' : 'some'}
                label="Sensors"
                items={items.value}
                total={total.value}
                keyOf={(sensor) => sensor.sensor_id}
                rowHeight={narrow ? 58 : 32}
                memory={memory}
                open={(sensor) => go(to('sensor', sensor.sensor_id))}
                nearEnd={() => void load(false)}
                head={
                  narrow ? undefined : (
                    <>
                      <span role="columnheader" class="c-sensor">Sensor</span>
                      <span role="columnheader" class="c-open">Open</span>
                      <span role="columnheader" class="c-seen">Last reading, event time</span>
                      <span role="columnheader" class="c-lane">Lane</span>
                      <span role="columnheader" class="c-words">Attributes</span>
                    </>
                  )
                }
                row={(sensor) => (
                  <>
                    <span role="gridcell" class="c-sensor">
                      <a href={to('sensor', sensor.sensor_id)} tabIndex={-1}>
                        {sensor.sensor_id}
                      </a>
                    </span>
                    <span role="gridcell" class={`c-open ${sensor.open_episodes > 0 ? 'bad' : ''}`}>
                      {sensor.open_episodes > 0 ? `▲ ${count(sensor.open_episodes)}` : ''}
                    </span>
                    <span role="gridcell" class="c-seen">
                      <Time at={sensor.last_seen} />
                    </span>
                    <span role="gridcell" class="c-lane">
                      {sensor.lane}
                    </span>
                    <span role="gridcell" class="c-words">
                      {Object.entries(sensor.attributes)
                        .map(([name, value]) => `${name}=${value}`)
                        .join('  ')}
                    </span>
                  </>
                )}
                empty={
                  loading.value ? (
                    <Empty title="Asking…" />
                  ) : text.value.trim() === '' ? (
                    <Empty title="No sensor yet">Sensors appear with their first reading. If none comes: is the source reachable, and do its records decode? See Dead letters.</Empty>
                  ) : (
                    <Empty title="No sensor matches">A part of an id or of an attribute’s value is enough; name=value must be exact.</Empty>
                  )
                }
              />
            )}
          </div>
        </div>
      </section>
    </div>
  )
}
