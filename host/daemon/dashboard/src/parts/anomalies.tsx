// Anomalies as a list: compact beside other things, wide on a page of its own.

import { useEffect } from 'preact/hooks'
import type { Anomaly } from '../api/types'
import { measured, plural } from '../format/number'
import { VirtualList } from '../lists/virtual'
import { go, to } from '../router'
import type { AnomalyList } from '../state/anomalies'
import { isEverything } from '../state/filter'
import { epoch } from '../state/stream'
import { PhaseMark, SeverityMark } from './marks'
import { Empty, Trouble } from './panel'
import { usePageKeys } from './keys'
import { Time } from './time'
import { useNarrow } from './narrow'

export function subject(of: { sensor_id?: string | null; group?: string | null }): string {
  return of.sensor_id ?? of.group ?? '–'
}

function Row({ anomaly, wide }: { anomaly: Anomaly; wide: boolean }) {
  return (
    <>
      <span role="gridcell" class="c-severity">
        <SeverityMark severity={anomaly.severity} />
      </span>
      <span role="gridcell" class="c-time">
        <Time at={anomaly.timestamp} form="day" />
      </span>
      <span role="gridcell" class="c-kind">
        <a href={to('anomaly', anomaly.id)} tabIndex={-1}>
          {anomaly.kind}
        </a>
        <span class="by">{anomaly.detector}</span>
      </span>
      <span role="gridcell" class="c-subject">
        {subject(anomaly)}
      </span>
      <span role="gridcell" class="c-quantity">
        {anomaly.quantity ?? ''}
      </span>
      {wide && (
        <span role="gridcell" class="c-value">
          {anomaly.value === null || anomaly.value === undefined ? '' : measured(anomaly.value)}
        </span>
      )}
      <span role="gridcell" class="c-words">
        {anomaly.explanation ?? ''}
      </span>
      <span role="gridcell" class="c-phase">
        <PhaseMark phase={anomaly.phase} />
      </span>
    </>
  )
}

function Head({ wide }: { wide: boolean }) {
  const names: [string, string][] = [
    ['c-severity', ''],
    ['c-time', 'Event time'],
    ['c-kind', 'Kind'],
    ['c-subject', 'Sensor or group'],
    ['c-quantity', 'Quantity'],
    ...(wide ? ([['c-value', 'Value']] as [string, string][]) : []),
    ['c-words', 'Explanation'],
    ['c-phase', 'Phase'],
  ]
  return (
    <>
      {names.map(([name, word]) => (
        <span role="columnheader" class={name} key={name}>
          {word === '' ? <span class="unseen">Severity</span> : word}
        </span>
      ))}
    </>
  )
}

/** `live` lists follow the stream and have the key `p`. */
export function Anomalies({ list, wide = false, label }: { list: AnomalyList; wide?: boolean; label: string }) {
  const again = epoch.value
  const narrow = useNarrow()
  useEffect(() => list.follow(), [list])
  useEffect(() => {
    if (again > 0) void list.load(true)
  }, [list, again])
  const own = (key: string): boolean => {
    if (key === 'p') list.pause(!list.paused.value)
    return key === 'p'
  }
  usePageKeys(own, [list])
  const waiting = list.waiting.value.length
  const error = list.error.value
  return (
    <div class={`anomalies ${wide && !narrow ? 'wide' : ''}`}>
      {waiting > 0 && (
        <button
          type="button"
          class="fresh"
          onClick={(event) => {
            list.pause(false)
            list.release()
            const box = event.currentTarget.parentElement?.querySelector<HTMLElement>('[data-list]')
            if (box !== null && box !== undefined) box.scrollTop = 0
          }}
        >
          ↑ {plural(waiting, 'new anomaly', 'new anomalies')}
        </button>
      )}
      {error !== null && list.items.value.length === 0 ? (
        <Trouble words={error} again={() => void list.load()} />
      ) : (
        <VirtualList
          label={label}
          items={list.items.value}
          total={Math.max(list.total.value, list.items.value.length)}
          keyOf={(anomaly) => anomaly.id}
          rowHeight={narrow ? 58 : 32}
          rowClass={(anomaly) => `${anomaly.severity} ${anomaly.phase}`}
          head={narrow ? undefined : <Head wide={wide} />}
          row={(anomaly) => <Row anomaly={anomaly} wide={wide && !narrow} />}
          open={(anomaly) => go(to('anomaly', anomaly.id))}
          nearEnd={() => void list.older()}
          scrolled={(scrolled) => list.hold(scrolled)}
          memory={list}
          empty={
            list.loading.value ? (
              <Empty title="Asking…" />
            ) : isEverything(list.filter.value) ? (
              <Empty title="No anomaly yet">
                They appear here within a second of being found. If readings come in and nothing is ever found, see under Detectors whether
                all of them run.
              </Empty>
            ) : (
              <Empty title="None of those that are kept match">
                The newest 10,000 anomalies are kept here; older ones are where gridwatch publishes them. Clear the filter to see all.
              </Empty>
            )
          }
        />
      )}
    </div>
  )
}
