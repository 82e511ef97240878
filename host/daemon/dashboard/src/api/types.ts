// What the server says, as /api/v1/openapi.json has it. Times are RFC 3339 in UTC; `null` is "not known (yet)".

export type Severity = 'info' | 'warning' | 'critical'
export type Phase = 'raised' | 'updated' | 'cleared' | 'single'
export type Mode = 'live' | 'shadow' | 'off'

export interface Page<T> {
  items: T[]
  next: string | null
  total: number
}

export interface Timeline {
  bucket_seconds: number
  start: string
  detectors: string[]
  /** One list of counts by detector. */
  counts: number[][]
  by_severity: Record<Severity, number[]>
}

export interface Overview {
  version: string
  instance: string
  source: string
  delivery: string
  started_at: string
  now: string
  state: 'starting' | 'running' | 'draining'
  ready: boolean
  not_ready: { part: string; why: string }[]
  readings_total: number
  readings_per_second: number
  lag_readings: number | null
  watermark: string | null
  dead_letters_total: number
  anomalies_total: number
  open_episodes: Record<Severity, number>
  lanes: number
  sensors: number
  timeline: Timeline
}

export interface Lane {
  lane: string
  position: number | string
  lag_readings: number | null
  watermark: string | null
  event_time: string | null
  checkpoint_age_seconds: number | null
  readings_total: number
  readings_per_second: number
  pending: number
  sensors: number
  state: 'opening' | 'replaying' | 'running' | 'ended'
}

export interface Subject {
  sensor_id?: string | null
  group?: string | null
}

export interface Anomaly extends Subject {
  id: string
  episode: string
  phase: Phase
  detector: string
  detector_version: string
  detector_digest: string
  quantity?: string | null
  kind: string
  severity: Severity
  score: number
  /** Event time. */
  timestamp: string
  since: string
  value?: number | null
  expected?: number | null
  lower?: number | null
  upper?: number | null
  explanation?: string | null
  details?: Record<string, string>
  attributes: Record<string, string>
  source: Record<string, unknown>
  lane?: string
  /** The wall clock's time when it was published. */
  received_at?: string
  newer?: string | null
  older?: string | null
}

export interface Episode extends Subject {
  episode: string
  detector: string
  quantity?: string | null
  kind: string
  severity: Severity
  since: string
  last?: string | null
  explanation?: string | null
  lane: string
}

export interface Difference {
  both: number
  only_new: number
  only_old: number
}

export interface Comparison extends Difference {
  candidate: { version: string; digest: string; generation: number }
  incumbent: { version: string; digest: string; generation: number } | null
  /** Event time; null before the first reading. */
  since: string | null
  readings: number
  by_kind: (Difference & { kind: string })[]
  by_sensor: (Difference & Subject)[]
  examples: (Subject & {
    side: 'only_new' | 'only_old'
    kind: string
    quantity?: string | null
    severity: Severity
    timestamp: string
    score: number
    value?: number | null
    explanation?: string | null
  })[]
  cost: { candidate_ns: number | null; incumbent_ns: number | null }
}

export interface Detector {
  name: string
  /** Of the module that runs, live or as a shadow that is alone; null where none does. */
  version: string | null
  digest: string | null
  generation: number | null
  mode: Mode
  fate: 'running' | 'quarantined' | 'refused' | 'starting' | 'disabled' | 'mixed'
  why?: string | null
  lanes: { running: number; quarantined: number }
  contract: string | null
  imports: string[]
  memory_bytes: number | null
  state_bytes: number | null
  cost: { ns_per_reading: number | null; seconds_total: number; share: number | null }
  findings_total: number
  anomalies: Record<Phase, number>
  skipped_total: number
  faults: Record<string, number>
  open_episodes: number
  /** What stands in its shadow, or judges alone without being heard. */
  shadow: Comparison | null
  warm_until: string | null
  rollback_to: { generation: number | null; version: string | null; digest: string } | null
}

export interface HistoryEntry {
  at: string
  by: string
  what: string
  generation?: number | null
  version?: string | null
  digest?: string | null
  detail?: string | null
}

export interface DetectorDetail extends Detector {
  parameters: Record<string, unknown> | null
  parameters_schema: Record<string, unknown> | null
  limits: Record<string, unknown> | null
  kinds: { name: string; description?: string }[]
  history: HistoryEntry[]
  logs_total: number
}

export interface LogLine {
  at: string
  event_time?: string | null
  lane: string
  level: string
  message: string
}

export interface Sensor {
  sensor_id: string
  lane: string
  last_seen: string | null
  attributes: Record<string, string>
  open_episodes: number
}

export interface SensorDetail extends Sensor {
  quantities: { name: string; unit: string | null }[]
  neighbours: string[]
  recent_anomalies: Anomaly[]
}

export interface Points {
  timestamps: number[]
  values: (number | null)[]
}

export interface Window {
  sensor_id: string
  quantity: string
  unit: string | null
  from: string
  to: string
  points: Points
  trace: {
    detector: string
    score: (number | null)[]
    expected: (number | null)[]
    lower: (number | null)[]
    upper: (number | null)[]
  } | null
  neighbours: (Points & { sensor_id: string })[]
  episodes: { episode: string; detector: string; kind: string; severity: Severity; since: string; until: string | null }[]
  truncated: boolean
  why: string | null
}

export interface DeadLetters {
  total: number
  by_reason: Record<string, number>
  samples: { at: string; reason: string; detail: string | null; source: unknown; bytes: string; is_base64: boolean; bytes_total?: number }[]
}
