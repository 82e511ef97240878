import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import type { Lane, Severity } from '../api/types'
import { Sparkline } from '../charts/sparkline'
import { Timeline } from '../charts/timeline'
import { bytes, count, nanoseconds, none, short } from '../format/number'
import { duration } from '../format/time'
import { Anomalies } from '../parts/anomalies'
import { Episodes } from '../parts/episodes'
import { Filters } from '../parts/filters'
import { FateMark, SeverityMark } from '../parts/marks'
import { Empty, Panel } from '../parts/panel'
import { Time } from '../parts/time'
import { useTall } from '../parts/narrow'
import { to } from '../router'
import { mainList } from '../state/anomalies'
import { detectors, lanes, overview, rates } from '../state/stream'

const severities: Severity[] = ['critical', 'warning', 'info']

export function OverviewPage() {
  const tab = useSignal<'live' | 'open'>('live')
  return (
    <div class="overview">
      <h1 class="unseen">Overview</h1>
      <Tiles showOpen={() => (tab.value = 'open')} />
      <div class="overview-left">
        <OverTime />
        <Lanes />
        <Running />
      </div>
      <section class="panel overview-list">
        <header class="panel-head">
          <div class="tabs" role="tablist" aria-label="What to list">
            {(['live', 'open'] as const).map((name) => (
              <button
                type="button"
                role="tab"
                key={name}
                id={`tab-${name}`}
                aria-selected={tab.value === name}
                aria-controls="overview-list"
                onClick={() => (tab.value = name)}
              >
                {name === 'live' ? 'Anomalies, live' : 'Open episodes'}
              </button>
            ))}
          </div>
          <div class="panel-aside">
            <a href={to('anomalies')}>all</a>
          </div>
        </header>
        <div class="panel-body flush" role="tabpanel" id="overview-list" aria-labelledby={`tab-${tab.value}`}>
          {tab.value === 'live' ? (
            <>
              <Filters list={mainList} />
              <Anomalies list={mainList} label="Anomalies, newest first" />
            </>
          ) : (
            <Episodes />
          )}
        </div>
      </section>
    </div>
  )
}

function Tile(props: { name: string; value: ComponentChildren; unit?: string; note: ComponentChildren; children?: ComponentChildren; class?: string; id: string }) {
  return (
    <div class={`tile ${props.class ?? ''}`} data-tile={props.id}>
      <h2>{props.name}</h2>
      <p class="tile-value">
        {props.value}
        {props.unit !== undefined && <small> {props.unit}</small>}
      </p>
      <p class="tile-note">{props.note}</p>
      {props.children}
    </div>
  )
}

/** How much event time passes in a second, where it differs from the wall clock's pace; from two overviews. */
let pace: { at: number; event: number } | null = null
let speed: number | null = null
function eventSpeed(): number | null {
  const said = overview.value
  const event = Date.parse(said?.watermark ?? '')
  const at = Date.parse(said?.now ?? '')
  if (!Number.isFinite(event) || !Number.isFinite(at)) return null
  if (pace === null || event < pace.event) pace = { at, event }
  else if (at - pace.at >= 3000) {
    speed = (event - pace.event) / (at - pace.at)
    pace = { at, event }
  }
  return speed
}

function Tiles({ showOpen }: { showOpen: () => void }) {
  const said = overview.value
  const open = said?.open_episodes
  const fast = eventSpeed()
  const lag = said?.lag_readings
  return (
    <div class="tiles">
      <Tile
        id="rate"
        class="tile-wide"
        name="Readings a second"
        value={short(said?.readings_per_second)}
        note={said === null ? none : `${count(said.readings_total)} since the start`}
      >
        <Sparkline values={rates.value} slots={Math.max(60, rates.value.length)} label="Readings a second over the last minutes" />
      </Tile>
      <Tile
        id="lag"
        name="Lag"
        value={lag === null || lag === undefined ? none : short(lag)}
        {...(lag === null || lag === undefined ? {} : { unit: 'readings' })}
        note={lag === null ? 'not known of this source' : lag === 0 ? 'everything that is there is judged' : lag === undefined ? none : 'read and judged later'}
      />
      <Tile
        id="watermark"
        name="Event time"
        value={<Time at={said?.watermark} form="clock" />}
        note={
          said?.watermark === null || said === null ? (
            'no reading yet'
          ) : (
            <>
              <Time at={said.watermark} form="date" />
              {fast !== null && fast > 1.5 && <> · {short(Number(fast.toPrecision(2)))} × real time</>}
            </>
          )
        }
      />
      <div class="tile tile-open" data-tile="open">
        <h2>Open episodes</h2>
        <ul>
          {severities.map((severity) => (
            <li key={severity}>
              <button type="button" onClick={showOpen} title="Show them">
                <b class={(open?.[severity] ?? 0) > 0 ? severity : 'calm'}>{short(open?.[severity])}</b>
                <SeverityMark severity={severity} word />
              </button>
            </li>
          ))}
        </ul>
      </div>
      <Tile id="anomalies" name="Anomalies" value={short(said?.anomalies_total)} note="since the start" />
      <Tile
        id="sensors"
        name="Sensors"
        value={short(said?.sensors)}
        note={said === null ? none : `in ${count(said.lanes)} ${said.lanes === 1 ? 'lane' : 'lanes'}`}
      />
      <Tile
        id="dead-letters"
        name="Dead letters"
        class={(said?.dead_letters_total ?? 0) > 0 ? 'tile-warn' : ''}
        value={short(said?.dead_letters_total)}
        note={(said?.dead_letters_total ?? 0) > 0 ? <a href={to('dead-letters')}>see why</a> : 'all were readings'}
      />
    </div>
  )
}

function OverTime() {
  const by = useSignal<'detector' | 'severity'>('detector')
  const tall = useTall()
  const timeline = overview.value?.timeline
  return (
    <Panel
      title="Anomalies over time"
      aside={
        <div class="segments" role="group" aria-label="Stack by">
          {(['detector', 'severity'] as const).map((name) => (
            <button type="button" key={name} aria-pressed={by.value === name} onClick={() => (by.value = name)}>
              by {name}
            </button>
          ))}
        </div>
      }
    >
      {timeline === undefined ? (
        <div class={tall ? 'timeline-space tall' : 'timeline-space'}>
          <Empty title="Asking…" />
        </div>
      ) : (
        <Timeline figures={timeline} by={by.value} height={tall ? 320 : 190} />
      )}
    </Panel>
  )
}

/** Detectors in short; each has a page. */
function Running() {
  const all = detectors.value
  return (
    <Panel title="Detectors" aside={<a href={to('detectors')}>all</a>} class="lanes">
      {all === null || all.length === 0 ? (
        <Empty title={all === null ? 'Asking…' : 'No detector runs'}>
          {all === null ? undefined : 'Copy a .wasm file into the detectors directory: it is tried out, and runs within seconds if it is sound.'}
        </Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Detectors">
          <table>
            <thead>
              <tr>
                <th>Detector</th>
                <th>Fate</th>
                <th>Version</th>
                <th class="n">Cost a reading</th>
                <th class="n">Raised</th>
                <th class="n">Open</th>
                <th class="n">State</th>
              </tr>
            </thead>
            <tbody>
              {all.slice(0, 40).map((detector) => (
                <tr key={detector.name}>
                  <th scope="row">
                    <a href={to('detector', detector.name)}>{detector.name}</a>
                  </th>
                  <td title={detector.why ?? undefined}>
                    <FateMark fate={detector.fate} />
                    {detector.mode !== 'live' && <span class={`chip mode-${detector.mode}`}>{detector.mode}</span>}
                  </td>
                  <td>{detector.version ?? none}</td>
                  <td class="n">{nanoseconds(detector.cost?.ns_per_reading)}</td>
                  <td class="n">{short(detector.anomalies.raised + detector.anomalies.single)}</td>
                  <td class="n">{count(detector.open_episodes)}</td>
                  <td class="n">{bytes(detector.state_bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

const trouble: Partial<Record<Lane['state'], string>> = {
  opening: 'loads its checkpoint',
  replaying: 'reads again what came since its checkpoint',
}

function Lanes() {
  const all = lanes.value
  return (
    <Panel title="Lanes" aside={<span class="muted">{all === null ? '' : count(all.length)}</span>} class="lanes">
      {all === null || all.length === 0 ? (
        <Empty title={all === null ? 'Asking…' : 'This process has no lane'}>
          {all === null ? undefined : 'Lanes come with the source: a topic’s partitions that its group gave to this process, or a file. With more processes than partitions, some have none.'}
        </Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Lanes">
          <table>
            <thead>
              <tr>
                <th>Lane</th>
                <th>State</th>
                <th class="n">Readings/s</th>
                <th class="n">Lag</th>
                <th class="n">Position</th>
                <th>Watermark</th>
                <th class="n" title="Age of the last checkpoint">Checkpoint</th>
                <th class="n">Sensors</th>
              </tr>
            </thead>
            <tbody>
              {all.slice(0, 100).map((lane) => (
                <tr key={lane.lane}>
                  <th scope="row">{lane.lane}</th>
                  <td title={trouble[lane.state]}>
                    <span class={`chip lane-${lane.state}`}>{lane.state}</span>
                  </td>
                  <td class="n">{short(lane.readings_per_second)}</td>
                  <td class="n">{lane.lag_readings === null ? none : short(lane.lag_readings)}</td>
                  <td class="n">{typeof lane.position === 'number' ? count(lane.position) : lane.position}</td>
                  <td>
                    <Time at={lane.watermark} form="day" />
                  </td>
                  <td class="n">{duration(lane.checkpoint_age_seconds)}</td>
                  <td class="n">{short(lane.sensors)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {all.length > 100 && <p class="muted">and {count(all.length - 100)} more</p>}
        </div>
      )}
    </Panel>
  )
}
