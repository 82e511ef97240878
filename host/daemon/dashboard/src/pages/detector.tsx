import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

import type { DetectorDetail, HistoryEntry, LogLine, Page } from '../api/types'
import { query } from '../api/client'
import { bytes, count, nanoseconds, none, percent } from '../format/number'
import { Actions } from '../parts/actions'
import { Copy } from '../parts/copy'
import { Digest, FateMark, ModeMark } from '../parts/marks'
import { Empty, Facts, Panel, Trouble } from '../parts/panel'
import { ShadowPanel } from '../parts/shadow'
import { Time } from '../parts/time'
import { to } from '../router'
import { useAsk } from '../state/ask'
import { news } from '../state/stream'

export function DetectorPage({ name }: { name: string }) {
  const heard = news.value?.detector === name ? news.value.entry.at : ''
  const answer = useAsk<DetectorDetail>(`/detectors/${encodeURIComponent(name)}`, {}, 2, heard).value
  const detector = answer.value
  if (detector === null) {
    return (
      <div class="page">
        <h1>{name}</h1>
        {answer.status === 404 ? (
          <Empty title="There is no detector of this name">It may have been taken out of the directory. See <a href={to('detectors')}>what runs</a>.</Empty>
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
          {detector.name} <span class="muted">{detector.version}</span> <FateMark fate={detector.fate} /> <ModeMark mode={detector.mode} />
        </h1>
        <div class="page-actions">
          <a class="button" href={`#/anomalies${query({ detector: name })}`}>
            Its anomalies
          </a>
          <Actions detector={detector} />
        </div>
      </div>
      {detector.why && (
        <p class="notice" role="status">
          {detector.why}
        </p>
      )}
      <div class="columns">
        <Panel title="What runs">
          <Facts facts={running(detector)} />
        </Panel>
        <Panel title="What it costs and says">
          <Facts facts={figures(detector)} />
        </Panel>
        <Panel title="Kinds">
          {detector.kinds.length === 0 ? (
            <Empty title="It names no kinds" />
          ) : (
            <dl class="kinds">
              {detector.kinds.map((kind) => (
                <div key={kind.name}>
                  <dt>
                    <a href={`#/anomalies${query({ detector: name, kind: kind.name })}`}>{kind.name}</a>
                  </dt>
                  <dd>{kind.description ?? ''}</dd>
                </div>
              ))}
            </dl>
          )}
        </Panel>
      </div>
      <ShadowPanel shadow={detector.shadow} />
      <div class="columns two">
        <Panel title="History" aside={<span class="muted">newest first</span>}>
          <History entries={detector.history} />
        </Panel>
        <Logs name={name} total={detector.logs_total} />
      </div>
      <div class="columns two">
        <Panel title="Parameters" aside={<Copy text={() => JSON.stringify(detector.parameters, null, 2)}>Copy</Copy>}>
          <Json value={detector.parameters} empty="It runs with its defaults; NAME.toml beside the file would change them." />
        </Panel>
        <Panel title="Limits">
          <Facts facts={Object.entries(detector.limits ?? {}).map(([limit, value]) => [limit, limitText(limit, value)])} />
        </Panel>
      </div>
    </div>
  )
}

function limitText(name: string, value: unknown): string {
  if (typeof value === 'number') return /bytes/.test(name) ? bytes(value) : count(value)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function running(detector: DetectorDetail): [string, ComponentChildren][] {
  const back = detector.rollback_to
  return [
    ['Digest', <Digest digest={detector.digest} />],
    ['Generation', count(detector.generation)],
    ['Contract', detector.contract ?? none],
    ['Imports', detector.imports.length === 0 ? 'none' : detector.imports.join(', ')],
    ['Lanes', `runs in ${count(detector.lanes.running)}${detector.lanes.quarantined > 0 ? `, quarantined in ${count(detector.lanes.quarantined)}` : ''}`],
    ['Warm until', detector.warm_until === null ? 'no older version is kept warm' : <Time at={detector.warm_until} />],
    ['Before it', back === null ? 'nothing to go back to' : <>{back.version ?? ''} <Digest digest={back.digest} /></>],
  ]
}

function figures(detector: DetectorDetail): [string, ComponentChildren][] {
  const faults = Object.entries(detector.faults).filter(([, n]) => n > 0)
  const said = detector.anomalies
  return [
    ['Cost', `${nanoseconds(detector.cost?.ns_per_reading)} a reading, ${percent(detector.cost?.share)} of all`],
    ['Findings', count(detector.findings_total)],
    ['Anomalies', `${count(said.raised)} raised, ${count(said.updated)} updated, ${count(said.cleared)} cleared, ${count(said.single)} single`],
    ['Open now', count(detector.open_episodes)],
    ['State', bytes(detector.state_bytes)],
    ['Memory', bytes(detector.memory_bytes)],
    ['Readings skipped', count(detector.skipped_total)],
    ['Faults', faults.length === 0 ? 'none' : faults.map(([fault, n]) => `${fault} ${count(n)}`).join(', ')],
  ]
}

const bad = new Set(['refused', 'failed', 'quarantined', 'went_back'])

function History({ entries }: { entries: HistoryEntry[] }) {
  if (entries.length === 0) return <Empty title="Nothing has changed since the start" />
  const shown = [...entries].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, 100)
  return (
    <ol class="history">
      {shown.map((entry, i) => (
        <li key={`${entry.at}${entry.what}${i}`} class={bad.has(entry.what) ? 'is-bad' : ''}>
          <Time at={entry.at} />
          <b>{entry.what.replaceAll('_', ' ')}</b>
          <span class="muted">by {entry.by}</span>
          <span>
            {entry.version ?? ''} <Digest digest={entry.digest} />
          </span>
          {entry.detail && <p>{entry.detail}</p>}
        </li>
      ))}
    </ol>
  )
}

function Logs({ name, total }: { name: string; total: number }) {
  const answer = useAsk<Page<LogLine>>(`/detectors/${encodeURIComponent(name)}/logs`, { limit: 100 }, 3).value
  const lines = answer.value?.items ?? []
  const shown = useSignal('')
  const wanted = lines.filter((line) => shown.value === '' || line.level === shown.value)
  return (
    <Panel
      title="Log"
      aside={
        <select aria-label="Level" value={shown.value} onChange={(event) => (shown.value = event.currentTarget.value)}>
          <option value="">all levels</option>
          {[...new Set(lines.map((line) => line.level))].map((level) => (
            <option key={level}>{level}</option>
          ))}
        </select>
      }
    >
      {answer.error !== null && answer.value === null ? (
        <Trouble words={answer.error} />
      ) : wanted.length === 0 ? (
        <Empty title={answer.value === null ? 'Asking…' : 'It has logged nothing'} />
      ) : (
        <div class="scroll log" tabIndex={0} role="region" aria-label={`The newest lines of ${count(total)}`}>
          <ol>
            {wanted.map((line, i) => (
              <li key={i} class={`level-${line.level}`}>
                <Time at={line.at} form="day" /> <b>{line.level}</b> <span class="muted">{line.lane}</span> {line.message}
              </li>
            ))}
          </ol>
        </div>
      )}
    </Panel>
  )
}

function Json({ value, empty }: { value: unknown; empty: string }) {
  const nothing = value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0)
  return nothing ? (
    <Empty title={empty} />
  ) : (
    <pre tabIndex={0} role="region" aria-label="Parameters">
      {JSON.stringify(value, null, 2)}
    </pre>
  )
}
