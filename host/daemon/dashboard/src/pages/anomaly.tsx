import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useLayoutEffect } from 'preact/hooks'
import type { Anomaly, Page, Sensor } from '../api/types'
import { measured } from '../format/number'
import { duration } from '../format/time'
import { subject } from '../parts/anomalies'
import { Copy } from '../parts/copy'
import { usePageKeys } from '../parts/keys'
import { Digest, PhaseMark, SeverityMark } from '../parts/marks'
import { Empty, Facts, Panel, Trouble } from '../parts/panel'
import { Time } from '../parts/time'
import { Reading } from '../parts/reading'
import { go, place, to } from '../router'
import { mainList } from '../state/anomalies'
import { useAsk } from '../state/ask'

/** The anomalies before and after it: of the list one came from, else of the server's. */
function around(anomaly: Anomaly): { newer: string | null; older: string | null } {
  const listed = mainList.items.value
  const at = listed.findIndex((other) => other.id === anomaly.id)
  if (at < 0) return { newer: anomaly.newer ?? null, older: anomaly.older ?? null }
  return { newer: listed[at - 1]?.id ?? null, older: listed[at + 1]?.id ?? anomaly.older ?? null }
}

export function AnomalyPage({ id }: { id: string }) {
  const answer = useAsk<Anomaly>(`/anomalies/${encodeURIComponent(id)}`).value
  const known = mainList.items.peek().find((anomaly) => anomaly.id === id)
  const anomaly = answer.value?.id === id ? answer.value : (known ?? null)
  if (anomaly === null) {
    return (
      <div class="page">
        <h1>Anomaly</h1>
        {answer.status === 404 ? (
          <Empty title="This anomaly is not kept here any more">{answer.error}</Empty>
        ) : answer.error !== null ? (
          <Trouble words={answer.error} />
        ) : (
          <Empty title="Asking…" />
        )}
      </div>
    )
  }
  return <Shown anomaly={anomaly} />
}

function Shown({ anomaly }: { anomaly: Anomaly }) {
  const { newer, older } = around(anomaly)
  useLayoutEffect(() => {
    mainList.activeId = anomaly.id
  }, [anomaly.id])
  const own = (key: string): boolean => {
    const next = key === 'j' ? older : key === 'k' ? newer : undefined
    if (next === undefined) return false
    // Pressed faster than pages come: this one is already being left.
    if (next !== null && place.peek().parts[1] === anomaly.id) go(to('anomaly', next))
    return true
  }
  usePageKeys(own, [anomaly.id, newer, older])
  const lasted = (Date.parse(anomaly.timestamp) - Date.parse(anomaly.since)) / 1000
  const facts: [string, ComponentChildren][] = [
    ['Event time', <Time at={anomaly.timestamp} form="precise" />],
    ['Since', <><Time at={anomaly.since} form="precise" />{lasted > 0 && ` (${duration(lasted)})`}</>],
  ]
  const number = (name: string, value: number | null | undefined): void => {
    if (value !== null && value !== undefined) facts.push([name, measured(value)])
  }
  if (anomaly.quantity) facts.push(['Quantity', anomaly.quantity])
  number('Value', anomaly.value)
  number('Expected', anomaly.expected)
  number('Lower', anomaly.lower)
  number('Upper', anomaly.upper)
  facts.push(['Score', <Score value={anomaly.score} />])
  const origin: [string, ComponentChildren][] = [
    ['Detector', <a href={to('detector', anomaly.detector)}>{anomaly.detector}</a>],
    ['Version', anomaly.detector_version],
    ['Digest', <Digest digest={anomaly.detector_digest} />],
    ...(anomaly.lane === undefined ? [] : ([['Lane', anomaly.lane]] as [string, ComponentChildren][])),
    ...Object.entries(anomaly.source).map(([name, value]): [string, ComponentChildren] => [`Source ${name}`, String(value)]),
    ...(anomaly.received_at === undefined ? [] : ([['Published', <Time at={anomaly.received_at} form="precise" />]] as [string, ComponentChildren][])),
    ['Id', <code>{anomaly.id}</code>],
    ['Episode', <code>{anomaly.episode}</code>],
  ]
  const extra = [...Object.entries(anomaly.attributes ?? {}), ...Object.entries(anomaly.details ?? {})]
  return (
    <div class="page">
      <div class="page-head">
        <h1>
          <SeverityMark severity={anomaly.severity} word /> <span class="kind">{anomaly.kind}</span>
          <span class="muted"> on </span>
          {anomaly.sensor_id ? <a href={to('sensor', anomaly.sensor_id)}>{anomaly.sensor_id}</a> : <span>{subject(anomaly)}</span>}
          <PhaseMark phase={anomaly.phase} />
        </h1>
        <div class="page-actions">
          <Step name="Newer" keys="k" id={newer} />
          <Step name="Older" keys="j" id={older} />
          <Copy text={() => JSON.stringify(published(anomaly), null, 2)}>Copy as JSON</Copy>
        </div>
      </div>
      <p class="explanation">{anomaly.explanation ?? 'The detector gives no explanation.'}</p>
      {anomaly.sensor_id ? <Reading key={`${anomaly.sensor_id}-${anomaly.id}`} sensor={anomaly.sensor_id} anomaly={anomaly} /> : <GroupReading anomaly={anomaly} />}
      <div class="columns">
        <Panel title="What was found">
          <Facts facts={facts} />
        </Panel>
        <Panel title="Where it comes from">
          <Facts facts={origin} />
        </Panel>
        <div class="stack">
          <EpisodePanel anomaly={anomaly} />
          <Panel title={anomaly.sensor_id ? 'The sensor' : 'The group'}>
            {extra.length === 0 ? <Empty title="No attributes are known" /> : <Facts facts={extra.map(([name, value]) => [name, value])} />}
          </Panel>
        </div>
      </div>
    </div>
  )
}

/** Without what this API adds. */
function published(anomaly: Anomaly): Partial<Anomaly> {
  const { lane: _lane, received_at: _at, newer: _newer, older: _older, ...rest } = anomaly
  return rest
}

function Score({ value }: { value: number }) {
  return (
    <span class="score">
      <i class="score-bar" aria-hidden="true"><i style={{ width: `${Math.min(1, Math.max(0, value)) * 100}%` }} /></i> {measured(Math.round(value * 1000) / 1000)}
    </span>
  )
}

function Step({ name, keys, id }: { name: string; keys: string; id: string | null }) {
  const words = (
    <>
      {name} <kbd>{keys}</kbd>
    </>
  )
  return id === null ? (
    <span class="button off" aria-disabled="true">
      {words}
    </span>
  ) : (
    <a class="button" href={to('anomaly', id)}>
      {words}
    </a>
  )
}

function EpisodePanel({ anomaly }: { anomaly: Anomaly }) {
  const answer = useAsk<Page<Anomaly>>('/anomalies', { episode: anomaly.episode, limit: 50 }, 5).value
  const messages = (answer.value?.items ?? [anomaly]).filter((other) => other.episode === anomaly.episode)
  return (
    <Panel title="The episode’s messages">
      <ol class="messages">
        {messages.map((message) => (
          <li key={message.id} aria-current={message.id === anomaly.id ? 'true' : undefined}>
            <Time at={message.timestamp} form="day" />
            <SeverityMark severity={message.severity} />
            <PhaseMark phase={message.phase} />
            <a href={to('anomaly', message.id)}>{message.explanation ?? message.kind}</a>
          </li>
        ))}
      </ol>
    </Panel>
  )
}

/** Of a group: its members, one after the other, with the others as faint lines. */
function GroupReading({ anomaly }: { anomaly: Anomaly }) {
  const answer = useAsk<Page<Sensor>>('/sensors', { q: anomaly.group ?? '', limit: 20 }).value
  const chosen = useSignal<string | null>(null)
  const members = answer.value?.items ?? []
  const sensor = chosen.value ?? members[0]?.sensor_id
  if (answer.value === null) return <Panel title="Readings"><Empty title="Asking…" /></Panel>
  if (sensor === undefined) {
    return (
      <Panel title="Readings">
        <Empty title="No member of this group is known here">Its sensors may be in another process’s lanes.</Empty>
      </Panel>
    )
  }
  return (
    <Reading
      key={`${sensor}-${anomaly.id}`}
      sensor={sensor}
      anomaly={anomaly}
      aside={
        <select aria-label="Member of the group" value={sensor} onChange={(event) => (chosen.value = event.currentTarget.value)}>
          {members.map((member) => (
            <option key={member.sensor_id}>{member.sensor_id}</option>
          ))}
        </select>
      }
    />
  )
}
