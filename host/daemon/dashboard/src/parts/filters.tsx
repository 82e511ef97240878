// The bar above a list of anomalies.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { Severity } from '../api/types'
import { count } from '../format/number'
import type { AnomalyList } from '../state/anomalies'
import { everything, isEverything, type Filter } from '../state/filter'
import { detectors } from '../state/stream'
import { SeverityMark } from './marks'

const severities: Severity[] = ['critical', 'warning', 'info']

/** Detectors' names, and kinds seen in what is loaded. */
function kinds(list: AnomalyList): string[] {
  const seen = new Set<string>()
  for (const anomaly of list.items.value) seen.add(anomaly.kind)
  if (list.filter.value.kind !== '') seen.add(list.filter.value.kind)
  return [...seen].sort()
}

export function Filters({ list, changed }: { list: AnomalyList; changed?: (filter: Filter) => void }) {
  const filter = list.filter.value
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  // What is being typed; the filter follows it a moment later.
  const typed = useSignal(filter.text)
  const sent = useRef(filter.text)
  useEffect(() => {
    if (filter.text === sent.current) return
    sent.current = filter.text
    typed.value = filter.text
  }, [filter.text])
  useEffect(() => () => clearTimeout(timer.current), [])
  const set = (part: Partial<Filter>): void => {
    const next = { ...list.filter.value, ...part }
    list.set(next)
    changed?.(next)
  }
  const toggle = (severity: Severity): void => {
    const on = filter.severity
    set({ severity: on.includes(severity) ? on.filter((other) => other !== severity) : [...on, severity] })
  }
  const names = detectors.value?.map((detector) => detector.name) ?? []
  const choices = filter.detector === '' || names.includes(filter.detector) ? names : [...names, filter.detector]
  const waiting = list.waiting.value.length
  return (
    <div class="filters" role="group" aria-label="Filter anomalies">
      <input
        type="search"
        placeholder="Sensor, kind, words…"
        aria-label="Filter by sensor, kind or words"
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value
          const text = typed.value.trim()
          clearTimeout(timer.current)
          timer.current = setTimeout(() => {
            sent.current = text
            set({ text })
          }, 150)
        }}
      />
      <div class="toggles" role="group" aria-label="Severity">
        {severities.map((severity) => (
          <button type="button" key={severity} aria-pressed={filter.severity.includes(severity)} onClick={() => toggle(severity)}>
            <SeverityMark severity={severity} word />
          </button>
        ))}
      </div>
      <select aria-label="Detector" value={filter.detector} onChange={(event) => set({ detector: event.currentTarget.value })}>
        <option value="">all detectors</option>
        {choices.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <select aria-label="Kind" value={filter.kind} onChange={(event) => set({ kind: event.currentTarget.value })}>
        <option value="">all kinds</option>
        {kinds(list).map((kind) => (
          <option key={kind}>{kind}</option>
        ))}
      </select>
      <select
        aria-label="Phase"
        value={filter.phase.join(',')}
        onChange={(event) => set({ phase: event.currentTarget.value.split(',').filter((phase) => phase !== '') as Filter['phase'] })}
      >
        <option value="">all phases</option>
        <option value="raised,single">begun</option>
        <option value="updated">grown worse</option>
        <option value="cleared">cleared</option>
      </select>
      <button type="button" class="quiet" disabled={isEverything(filter)} onClick={() => set(everything)}>
        Clear
      </button>
      <span class="filters-end">
        <span class="counted" role="status">
          {count(list.total.value)}
        </span>
        <button type="button" class="pause" aria-pressed={list.paused.value} onClick={() => list.pause(!list.paused.value)}>
          {list.paused.value ? `Resume${waiting > 0 ? ` (${count(waiting)} new)` : ''}` : 'Pause'}
        </button>
      </span>
    </div>
  )
}
