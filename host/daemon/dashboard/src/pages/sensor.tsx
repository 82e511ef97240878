import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { SensorDetail, Window } from '../api/types'
import { ContextPlot } from '../charts/context'
import { measured, none, plural } from '../format/number'
import { Anomalies } from '../parts/anomalies'
import { Empty, Facts, Panel, Trouble } from '../parts/panel'
import { Time } from '../parts/time'
import { useSignal, type Signal } from '@preact/signals'
import { query } from '../api/client'
import { to } from '../router'
import { AnomalyList } from '../state/anomalies'
import { useAsk } from '../state/ask'
import { everything } from '../state/filter'

const spans: [string, number][] = [
  ['10 min', 600],
  ['1 h', 3600],
  ['6 h', 21_600],
  ['1 d', 86_400],
]

export function SensorPage({ id }: { id: string }) {
  const answer = useAsk<SensorDetail>(`/sensors/${encodeURIComponent(id)}`, {}, 5).value
  const span = useSignal(21_600)
  const sensor = answer.value?.sensor_id === id ? answer.value : null
  const latest = sensor?.last_seen ?? null
  // Plots are of a fixed time, moved on every half minute and on request: each costs the server a look back.
  const asOf = useSignal<string | null>(null)
  const newest = useRef(latest)
  newest.current = latest
  useEffect(() => {
    if (latest !== null && asOf.value === null) asOf.value = latest
  }, [latest])
  useEffect(() => {
    const timer = setInterval(() => (asOf.value = newest.current), 30_000)
    return () => clearInterval(timer)
  }, [])
  /** Quantities that its lane knows and it does not send: their plots make room. */
  const absent = useSignal<string[]>([])
  const list = useMemo(() => new AnomalyList({ ...everything, sensor: id }), [id])
  if (sensor === null) {
    return (
      <div class="page">
        <h1>{id}</h1>
        {answer.status === 404 ? (
          <Empty title="This sensor is not known here">Its readings may be in another process’s lanes, or it has sent none yet. <a href={to('sensors')}>Search sensors</a></Empty>
        ) : answer.error !== null ? (
          <Trouble words={answer.error} />
        ) : (
          <Empty title="Asking…" />
        )}
      </div>
    )
  }
  return (
    <div class="page">
      <div class="page-head">
        <h1>
          {sensor.sensor_id}
          {sensor.open_episodes > 0 && <span class="chip bad">▲ {plural(sensor.open_episodes, 'open episode')}</span>}
        </h1>
        <div class="page-actions">
          <span class="muted">
            plotted up to <Time at={asOf.value} />
          </span>
          <button type="button" disabled={asOf.value === latest} onClick={() => (asOf.value = latest)}>
            Now
          </button>
          <div class="segments" role="group" aria-label="Span">
            {spans.map(([name, seconds]) => (
              <button type="button" key={name} aria-pressed={span.value === seconds} onClick={() => (span.value = seconds)}>
                {name}
              </button>
            ))}
          </div>
        </div>
      </div>
      {sensor.quantities.length === 0 ? (
        <Panel title="Readings">
          <Empty title="It has sent no quantity yet" />
        </Panel>
      ) : (
        <div class="plots">
          {sensor.quantities.slice(0, 16).map((quantity) => (
            <Quantity key={quantity.name} sensor={sensor} name={quantity.name} unit={quantity.unit} span={span.value} end={asOf.value} absent={absent} />
          ))}
        </div>
      )}
      {absent.value.length > 0 && <p class="muted">Not sent in this time: {absent.value.join(', ')}.</p>}
      <div class="columns two">
        <Panel title="Anomalies of this sensor" class="sensor-anomalies">
          <Anomalies list={list} label={`Anomalies of ${id}, newest first`} />
        </Panel>
        <div class="stack">
          <Panel title="What is known of it">
            <Facts
              facts={[
                ['Lane', sensor.lane],
                ['Last reading', <Time at={sensor.last_seen} form="precise" />],
                ...Object.entries(sensor.attributes).map(([name, value]): [string, preact.ComponentChildren] => [
                  name,
                  <a href={`#/sensors${query({ q: `${name}=${value}` })}`}>{value}</a>,
                ]),
              ]}
            />
          </Panel>
          <Panel title="Neighbours">
            {sensor.neighbours.length === 0 ? (
              <Empty title="None share its feeder" />
            ) : (
              <ul class="tags">
                {sensor.neighbours.map((other) => (
                  <li key={other}>
                    <a href={to('sensor', other)}>{other}</a>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
      </div>
    </div>
  )
}

function Quantity(props: { sensor: SensorDetail; name: string; unit: string | null; span: number; end: string | null; absent: Signal<string[]> }) {
  const { sensor, name, unit, span, end, absent } = props
  const box = useRef<HTMLElement>(null)
  // Asked for when it is seen: a sensor may have many quantities.
  const seen = useSignal(false)
  useEffect(() => {
    if (box.current === null) return
    const observer = new IntersectionObserver((entries) => (seen.value ||= entries.some((entry) => entry.isIntersecting)), { rootMargin: '100px' })
    observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  const answer = useAsk<Window>(end === null || !seen.value ? null : `/sensors/${encodeURIComponent(sensor.sensor_id)}/window`, {
    around: end,
    before: span,
    after: 0,
    quantity: name,
    neighbours: false,
  }).value
  const window = answer.value
  const values = window?.points.values ?? []
  const last = values.findLast((value) => value !== null) ?? null
  const isAbsent = values.length > 0 && last === null
  useEffect(() => {
    const others = absent.peek().filter((other) => other !== name)
    if (isAbsent !== (others.length < absent.peek().length)) absent.value = isAbsent ? [...others, name] : others
  }, [isAbsent])
  return (
    <section class="panel plot-small" ref={box} hidden={isAbsent}>
      <header class="panel-head">
        <h2>{name}</h2>
        <b class="last">{last === null ? none : measured(last, unit)}</b>
      </header>
      <div class="plot-small-space">
        {window !== null && last !== null ? (
          <ContextPlot window={window} height={150} neighbours={false} score={false} hint={false} label={`${name} of ${sensor.sensor_id}, ${plural(values.length, 'reading')}`} />
        ) : answer.error !== null ? (
          <Trouble words={answer.error} />
        ) : (
          <Empty title={window === null ? 'Asking…' : 'No reading is kept of this time'}>
            {window?.why ?? undefined}
          </Empty>
        )}
      </div>
    </section>
  )
}
