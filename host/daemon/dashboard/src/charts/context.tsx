// Readings of one quantity of one sensor: values, what was expected, the band, neighbours, episodes; the score below
// on the same time axis.

import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import uPlot from 'uplot'
import type { Severity, Window } from '../api/types'
import { measured } from '../format/number'
import { dateTime } from '../format/time'
import { zone } from '../state/settings'
import { timeLabels, tzDate, valueLabels } from './axis'
import { faded, ink } from './ink'
import { inOrder } from './order'
import { Plot } from './plot'

/** What an anomaly said of its own moment. */
export interface Mark {
  at: number
  episode: string
  severity: Severity
  value: number | null
  lower: number | null
  upper: number | null
  expected: number | null
}

interface Props {
  window: Window
  mark?: Mark
  height?: number
  neighbours?: boolean
  score?: boolean
  hint?: boolean
  label: string
}

const scoreHeight = 92

type Column = (number | null | undefined)[]

/** The values' own range, and on each side at most half as much of the band and the neighbours: those may be far wider. */
export function range(own: Column[], others: Column[]): [number, number] {
  const extent = (columns: Column[]): [number, number] | null => {
    let low = Infinity
    let high = -Infinity
    for (const column of columns)
      for (const value of column)
        if (value !== null && value !== undefined && Number.isFinite(value)) {
          low = Math.min(low, value)
          high = Math.max(high, value)
        }
    return low <= high ? [low, high] : null
  }
  const inner = extent(own) ?? extent(others) ?? [0, 1]
  const size = inner[1] - inner[0] || Math.abs(inner[0]) * 0.02 || 1
  const outer = extent(others) ?? inner
  const low = Math.max(Math.min(inner[0], outer[0]), inner[0] - size / 2)
  const high = Math.min(Math.max(inner[1], outer[1]), inner[1] + size / 2)
  const margin = (high - low || size) * 0.07
  return [low - margin, high + margin]
}

export function ContextPlot({ window: received, mark, height = 320, neighbours = true, score = true, hint = true, label }: Props) {
  const palette = ink.value
  const at = useSignal<number | null>(null)
  const window = useMemo(() => inOrder(received), [received])
  const { points, trace } = window
  const others = neighbours ? window.neighbours.filter((other) => other.timestamps.length > 0) : []
  const data = useMemo<uPlot.AlignedData>(() => {
    const blank = (): Column => points.timestamps.map(() => null)
    const own = [
      points.timestamps,
      trace?.upper ?? blank(),
      trace?.lower ?? blank(),
      trace?.expected ?? blank(),
      points.values,
    ] as uPlot.AlignedData
    if (others.length === 0) return own
    const tables = [own, ...others.map((other) => [other.timestamps, other.values] as uPlot.AlignedData)]
    return uPlot.join(tables, tables.map((table) => table.map(() => 2 as const)))
  }, [window, neighbours])
  const scores = useMemo<uPlot.AlignedData>(
    () => [points.timestamps, trace?.score ?? []] as uPlot.AlignedData,
    [window],
  )
  const from = Date.parse(window.from)
  const to = Date.parse(window.to)
  const hasScore = score && trace !== null && trace.score.some((value) => value !== null)
  const key = `context-${window.sensor_id}-${window.quantity}`

  // All that was asked for, unless somebody has dragged over a part of it.
  const span = (u: uPlot, low: number | null, high: number | null): [number, number] => {
    const times = u.data[0]
    const whole = low === null || high === null || (low === times[0] && high === times.at(-1)) || low === high
    return whole ? [from, to] : [low, high]
  }
  const shade = (u: uPlot): void => {
    const { ctx } = u
    const { top, height: high, left, width } = u.bbox
    for (const episode of window.episodes) {
      const begin = u.valToPos(Date.parse(episode.since), 'x', true)
      const end = episode.until === null ? left + width : u.valToPos(Date.parse(episode.until), 'x', true)
      const a = Math.max(left, begin)
      const b = Math.min(left + width, Math.max(end, begin + 2 * devicePixelRatio))
      if (b <= a) continue
      ctx.save()
      // The one that is looked at is shaded; the others of the sensor are bars below its bar.
      const own = mark === undefined || mark.episode === episode.episode
      const colour = own && mark !== undefined ? palette[mark.severity] : palette[episode.severity]
      ctx.fillStyle = faded(colour, mark === undefined ? 0.1 : 0.15)
      if (own) ctx.fillRect(a, top, b - a, high)
      ctx.fillStyle = faded(colour, own ? 0.85 : 0.5)
      ctx.fillRect(a, top + (own ? 0 : 5 * devicePixelRatio), b - a, (own ? 3 : 2) * devicePixelRatio)
      ctx.restore()
    }
  }
  const pin = (u: uPlot): void => {
    if (mark === undefined || mark.at < from || mark.at > to) return
    const { ctx } = u
    const x = u.valToPos(mark.at, 'x', true)
    ctx.save()
    ctx.strokeStyle = palette[mark.severity]
    ctx.lineWidth = devicePixelRatio
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio])
    ctx.beginPath()
    ctx.moveTo(x, u.bbox.top)
    ctx.lineTo(x, u.bbox.top + u.bbox.height)
    ctx.stroke()
    ctx.setLineDash([])
    // Its band as a bracket, what it expected as a stroke.
    const edge = (value: number | null, half: number): number | null => {
      if (value === null) return null
      const y = u.valToPos(value, 'y', true)
      ctx.beginPath()
      ctx.moveTo(x - half * devicePixelRatio, y)
      ctx.lineTo(x + half * devicePixelRatio, y)
      ctx.stroke()
      return y
    }
    ctx.strokeStyle = palette.expected
    ctx.lineWidth = 2 * devicePixelRatio
    const low = edge(mark.lower, 7)
    const high = edge(mark.upper, 7)
    edge(mark.expected, 4)
    if (low !== null && high !== null) {
      ctx.beginPath()
      ctx.moveTo(x, low)
      ctx.lineTo(x, high)
      ctx.stroke()
    }
    ctx.strokeStyle = palette[mark.severity]
    if (mark.value !== null) {
      const y = u.valToPos(mark.value, 'y', true)
      ctx.lineWidth = 2 * devicePixelRatio
      ctx.fillStyle = palette.panel
      ctx.beginPath()
      ctx.arc(x, y, 5 * devicePixelRatio, 0, 2 * Math.PI)
      ctx.fill()
      ctx.stroke()
    }
    ctx.restore()
  }

  const common = (): Pick<uPlot.Options, 'ms' | 'tzDate' | 'legend' | 'cursor'> => ({
    ms: 1,
    tzDate: tzDate(zone.peek()),
    legend: { show: false },
    cursor: { sync: { key, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
  })
  const axis = { stroke: palette.text, ticks: { show: false }, font: '11px system-ui' }
  const identity = [palette.text, palette.line, zone.value, window.sensor_id, window.quantity, others.length, window.from, window.to, hasScore, mark?.at, window.episodes.length].join('|')
  const options = (): Omit<uPlot.Options, 'width' | 'height'> => ({
    ...common(),
    padding: [10, 8, 0, 0],
    scales: {
      x: { range: span },
      y: { range: (u) => range([u.data[4] as Column], [...(u.data.slice(1, 4) as Column[]), ...(u.data.slice(5) as Column[]), [mark?.value, mark?.lower, mark?.upper]]) },
    },
    axes: [
      { ...axis, grid: { stroke: palette.grid, width: 1 }, values: timeLabels(zone.peek()), size: hasScore ? 8 : 34, ...(hasScore ? { values: () => [] } : {}) },
      { ...axis, grid: { stroke: palette.grid, width: 1 }, values: valueLabels, size: 56 },
    ],
    bands: [{ series: [1, 2], fill: palette.band }],
    series: [
      {},
      { label: 'upper', stroke: faded(palette.expected, 0.55), width: 1, points: { show: false } },
      { label: 'lower', stroke: faded(palette.expected, 0.55), width: 1, points: { show: false } },
      { label: 'expected', stroke: palette.expected, width: 1.25, dash: [5, 4], points: { show: false } },
      { label: window.quantity, stroke: palette.line, width: 1.75, points: { show: points.timestamps.length < 90, size: 4, fill: palette.line } },
      ...others.map((other) => ({ label: other.sensor_id, stroke: palette.faint, width: 1, spanGaps: true, points: { show: false } })),
    ],
    hooks: { drawClear: [shade], draw: [pin], setCursor: [(u) => (at.value = u.cursor.idx ?? null)] },
  })
  const scoreOptions = (): Omit<uPlot.Options, 'width' | 'height'> => ({
    ...common(),
    padding: [6, 8, 0, 0],
    scales: { x: { range: span }, y: { range: [0, 1] } },
    axes: [
      { ...axis, grid: { stroke: palette.grid, width: 1 }, values: timeLabels(zone.peek()), size: 34 },
      { ...axis, grid: { stroke: palette.grid, width: 1 }, splits: () => [0, 0.5, 1], values: (_u, splits) => splits.map(String), size: 56 },
    ],
    series: [{}, { label: 'score', stroke: palette.warning, fill: faded(palette.warning, 0.15), width: 1.25, points: { show: false } }],
    hooks: { drawClear: [shade] },
  })
  const readout = (): string => {
    const index = at.value
    const time = index === null ? undefined : data[0][index]
    if (index === null || time === undefined) return hint ? 'point at the plot to read it; drag to look closer, double-click for all' : ''
    const value = (column: number): number | null | undefined => data[column]?.[index]
    const own = points.timestamps.indexOf(time)
    const parts = [`${dateTime(time, zone.value, true)}`, `${window.quantity} ${measured(value(4), window.unit)}`]
    if (typeof value(3) === 'number') parts.push(`expected ${measured(value(3))}`)
    if (typeof value(2) === 'number') parts.push(`band ${measured(value(2))} to ${measured(value(1))}`)
    if (typeof trace?.score[own] === 'number') parts.push(`score ${measured(trace.score[own])}`)
    return parts.join('   ')
  }
  return (
    <div class="context">
      <p class="readout" aria-hidden="true">
        {readout()}
      </p>
      <Plot label={label} height={score && !hasScore ? height + scoreHeight : height} identity={identity} options={options} data={data} />
      {hasScore && (
        <Plot label={`Score of ${trace?.detector ?? 'the detector'}, 0 to 1`} height={scoreHeight} identity={identity} options={scoreOptions} data={scores} />
      )}
    </div>
  )
}
