// A sensor's readings around a time, with the span, the quantity and the neighbours to choose.

import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import type { Anomaly, SensorDetail, Window } from '../api/types'
import { ContextPlot, type Mark } from '../charts/context'
import { inOrder } from '../charts/order'
import { measured, plural } from '../format/number'
import { dateTime } from '../format/time'
import { useAsk } from '../state/ask'
import { zone } from '../state/settings'
import { detectors } from '../state/stream'
import { Empty, Panel, Trouble } from './panel'

const spans: [string, number][] = [
  ['10 min', 600],
  ['1 h', 3600],
  ['6 h', 21_600],
  ['1 d', 86_400],
]

/** The shortest span that holds the episode with as much again around it. */
export function fitting(lastedSeconds: number): number {
  return spans.find(([, seconds]) => seconds >= lastedSeconds * 2)?.[1] ?? 86_400
}

export function Reading({ sensor, anomaly, aside }: { sensor: string; anomaly: Anomaly; aside?: ComponentChildren }) {
  const at = Date.parse(anomaly.timestamp)
  const lasted = Math.max(0, (at - Date.parse(anomaly.since)) / 1000)
  const chosen = useSignal<number | null>(null)
  const quantity = useSignal<string | null>(anomaly.quantity ?? null)
  const neighbours = useSignal(true)
  const by = useSignal(anomaly.detector)
  const detail = useAsk<SensorDetail>(`/sensors/${encodeURIComponent(sensor)}`).value
  const quantities = detail.value?.quantities.map((known) => known.name) ?? []
  const shown = quantity.value ?? quantities[0] ?? null
  // A meter that reports once a minute needs hours to show anything; one that reports each second, minutes.
  const first = Math.max(21_600, fitting(lasted))
  const span = chosen.value ?? first
  const answer = useAsk<Window>(shown === null ? null : `/sensors/${encodeURIComponent(sensor)}/window`, {
    around: anomaly.timestamp,
    before: Math.round(span * 0.65),
    after: Math.round(span * 0.35),
    quantity: shown,
    detector: by.value,
    neighbours: true,
  }).value
  const window = useMemo(
    () => (answer.value !== null && answer.value.quantity === shown ? inOrder(answer.value) : null),
    [answer.value, shown],
  )
  const dense = window !== null && chosen.value === null && window.points.timestamps.length > 2000
  const sparse = window !== null && chosen.value === null && window.points.timestamps.length < 12 && first < 86_400
  if (dense || sparse) queueMicrotask(() => (chosen.value = dense ? fitting(Math.max(lasted, 1)) : 86_400))
  const own = shown === anomaly.quantity && anomaly.sensor_id === sensor
  const mark: Mark = {
    at,
    episode: anomaly.episode,
    severity: anomaly.severity,
    value: own ? (anomaly.value ?? null) : null,
    lower: own ? (anomaly.lower ?? null) : null,
    upper: own ? (anomaly.upper ?? null) : null,
    expected: own ? (anomaly.expected ?? null) : null,
  }
  const names = detectors.value?.map((detector) => detector.name) ?? []
  return (
    <Panel
      class="reading"
      title={
        <>
          Readings <span class="muted">{shown ?? ''}{window?.unit ? `, ${window.unit}` : ''} of {sensor}</span>
        </>
      }
      aside={
        <>
          {aside}
          <select aria-label="Quantity" value={shown ?? ''} onChange={(event) => (quantity.value = event.currentTarget.value)}>
            {[...new Set([...(shown === null ? [] : [shown]), ...quantities])].map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
          <select aria-label="Expected by" title="Whose expectation is drawn" value={by.value} onChange={(event) => (by.value = event.currentTarget.value)}>
            {[...new Set([anomaly.detector, ...names])].map((name) => (
              <option key={name} value={name}>
                expected by {name}
              </option>
            ))}
          </select>
          <div class="segments" role="group" aria-label="Span">
            {spans.map(([name, seconds]) => (
              <button type="button" key={name} aria-pressed={span === seconds} onClick={() => (chosen.value = seconds)}>
                {name}
              </button>
            ))}
          </div>
          <button type="button" aria-pressed={neighbours.value} onClick={() => (neighbours.value = !neighbours.value)}>
            Neighbours
          </button>
        </>
      }
    >
      <div class="reading-space">
        {window !== null && window.points.timestamps.length > 0 ? (
          <ContextPlot
            window={window}
            mark={mark}
            neighbours={neighbours.value}
            label={`${window.quantity} of ${sensor} from ${dateTime(window.from, 'utc')} to ${dateTime(window.to, 'utc')} UTC: ${plural(window.points.timestamps.length, 'reading')}, ${plural(window.episodes.length, 'episode')} shaded`}
          />
        ) : answer.error !== null || detail.error !== null ? (
          <Trouble words={answer.error ?? detail.error ?? ''} />
        ) : window !== null ? (
          <Empty title="No reading is kept of this time">{window.why ?? 'Readings are kept for as long as the lane needs them.'}</Empty>
        ) : (
          <Empty title={detail.value !== null && shown === null ? 'This sensor has sent no quantity yet' : 'Asking…'} />
        )}
      </div>
      {window !== null && window.points.timestamps.length > 0 && (
        <>
          <Key window={window} mark={mark} neighbours={neighbours.value} />
          {window.why !== null && <p class="note">{window.why}</p>}
          <Values window={window} />
        </>
      )}
    </Panel>
  )
}

/** What each line means. */
function Key({ window, mark, neighbours }: { window: Window; mark: Mark; neighbours: boolean }) {
  const trace = window.trace
  const own = window.episodes.some((episode) => episode.episode === mark.episode)
  const others = window.episodes.length - (own ? 1 : 0)
  const has = (column: (number | null)[] | undefined): boolean => column?.some((value) => value !== null) ?? false
  return (
    <ul class="legend" aria-label="What the lines mean">
      <li>
        <i class="stroke value" /> {window.quantity}
      </li>
      {has(trace?.expected) && (
        <li>
          <i class="stroke expected" /> expected by {trace?.detector}
        </li>
      )}
      {(has(trace?.lower) || has(trace?.upper)) && (
        <li>
          <i class="swatch band" /> expected band
        </li>
      )}
      {(mark.lower !== null || mark.upper !== null) && (
        <li>
          <i class="bracket" /> band that the anomaly names
        </li>
      )}
      {neighbours && window.neighbours.length > 0 && (
        <li>
          <i class="stroke faint" /> {plural(window.neighbours.length, 'neighbour')}
        </li>
      )}
      {own && (
        <li>
          <i class={`swatch episode ${mark.severity}`} /> the episode
        </li>
      )}
      {others > 0 && (
        <li>
          <i class="stroke others" /> {plural(others, 'other episode')} of the sensor
        </li>
      )}
    </ul>
  )
}

const rowsShown = 60

/** The same as a table, for who cannot see a plot, and for exact values. */
function Values({ window }: { window: Window }) {
  const { points, trace } = window
  const from = Math.max(0, points.timestamps.length - rowsShown)
  const open = useSignal(false)
  return (
    <details class="values" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Values as a table</summary>
      {open.value && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Values">
          <table>
            <caption class="muted">{from > 0 ? `The last ${rowsShown} of ${points.timestamps.length}` : plural(points.timestamps.length, 'reading')}</caption>
            <thead>
              <tr>
                <th>Event time</th>
                <th class="n">{window.quantity}</th>
                <th class="n">Expected</th>
                <th class="n">Lower</th>
                <th class="n">Upper</th>
                <th class="n">Score</th>
              </tr>
            </thead>
            <tbody>
              {points.timestamps.slice(from).map((ms, i) => (
                <tr key={from + i}>
                  <td>{dateTime(ms, zone.value, true)}</td>
                  <td class="n">{measured(points.values[from + i])}</td>
                  <td class="n">{measured(trace?.expected[from + i])}</td>
                  <td class="n">{measured(trace?.lower[from + i])}</td>
                  <td class="n">{measured(trace?.upper[from + i])}</td>
                  <td class="n">{measured(trace?.score[from + i])}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  )
}
