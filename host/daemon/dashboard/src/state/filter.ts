// Which anomalies are wanted. The server applies the same to what it has as `matches` does to what streams in.

import type { Anomaly, Phase, Severity } from '../api/types'
import type { Query } from '../api/client'

export interface Filter {
  severity: Severity[]
  phase: Phase[]
  detector: string
  kind: string
  text: string
  sensor?: string
  episode?: string
}

export const everything: Filter = { severity: [], phase: [], detector: '', kind: '', text: '' }

export function isEverything(filter: Filter): boolean {
  return Object.values(filter).every((part) => part === undefined || part.length === 0)
}

export function matches(filter: Filter, anomaly: Anomaly): boolean {
  if (filter.severity.length > 0 && !filter.severity.includes(anomaly.severity)) return false
  if (filter.phase.length > 0 && !filter.phase.includes(anomaly.phase)) return false
  if (filter.detector !== '' && filter.detector !== anomaly.detector) return false
  if (filter.kind !== '' && filter.kind !== anomaly.kind) return false
  if (filter.sensor !== undefined && filter.sensor !== anomaly.sensor_id) return false
  if (filter.episode !== undefined && filter.episode !== anomaly.episode) return false
  if (filter.text === '') return true
  const wanted = filter.text.toLowerCase()
  const said = [anomaly.sensor_id, anomaly.group, anomaly.kind, anomaly.detector, anomaly.explanation]
  return said.some((part) => part?.toLowerCase().includes(wanted))
}

export function toQuery(filter: Filter): Query {
  return {
    severity: filter.severity.join(','),
    phase: filter.phase.join(','),
    detector: filter.detector,
    kind: filter.kind,
    text: filter.text,
    sensor: filter.sensor,
    episode: filter.episode,
  }
}

const severities: Severity[] = ['critical', 'warning', 'info']
const phases: Phase[] = ['raised', 'updated', 'cleared', 'single']

/** A filter from the address; what is not understood is left out. */
export function fromSearch(search: URLSearchParams): Filter {
  const listed = <T extends string>(name: string, known: T[]): T[] => {
    const named = (search.get(name) ?? '').split(',')
    return known.filter((value) => named.includes(value))
  }
  return {
    severity: listed('severity', severities),
    phase: listed('phase', phases),
    detector: search.get('detector') ?? '',
    kind: search.get('kind') ?? '',
    text: search.get('text') ?? '',
  }
}
