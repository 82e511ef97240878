// Anomalies over time, stacked by detector or by severity, with the figures of the bar under the pointer beside it.

import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import uPlot from 'uplot'
import type { Timeline as Figures } from '../api/types'
import { count } from '../format/number'
import { clock, duration } from '../format/time'
import { zone } from '../state/settings'
import { timeLabels, tzDate, valueLabels } from './axis'
import { ink, kindColour, type Ink } from './ink'
import { Plot } from './plot'
import { layers, stacked, sum } from './stack'

export function layerColour(palette: Ink, by: 'detector' | 'severity', index: number): string {
  return by === 'detector' ? kindColour(palette, index) : [palette.critical, palette.warning, palette.info][index] ?? palette.line
}

export function Timeline({ figures, by, height }: { figures: Figures; by: 'detector' | 'severity'; height: number }) {
  const at = useSignal<number | null>(null)
  const palette = ink.value
  const shown = layers(figures, by)
  // Drawn from the highest sum down, each over the one before.
  const data = useMemo<uPlot.AlignedData>(
    () => [shown.times, ...stacked(shown.counts).reverse()] as uPlot.AlignedData,
    [figures, by],
  )
  const identity = [by, shown.names.join(), palette.text, palette.panel, zone.value, figures.bucket_seconds].join('|')
  const options = (): Omit<uPlot.Options, 'width' | 'height'> => {
    const bars = uPlot.paths.bars?.({ size: [0.82, 60], align: 1, radius: 0.08 })
    return {
      ms: 1,
      tzDate: tzDate(zone.peek()),
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { range: (_u, from, to) => [from, to + figures.bucket_seconds * 1000] },
        y: { range: (_u, _from, to) => [0, Math.max(4, to * 1.08)] },
      },
      axes: [
        { stroke: palette.text, grid: { show: false }, ticks: { show: false }, values: timeLabels(zone.peek()), size: 34, font: '11px system-ui' },
        { stroke: palette.text, grid: { stroke: palette.grid, width: 1 }, ticks: { show: false }, values: valueLabels, size: 42, font: '11px system-ui' },
      ],
      series: [
        {},
        ...shown.names.map((name, i) => {
          const colour = layerColour(palette, by, shown.names.length - 1 - i)
          return { label: name, fill: colour, stroke: colour, width: 0, points: { show: false }, ...(bars === undefined ? {} : { paths: bars }) }
        }),
      ],
      hooks: { setCursor: [(u) => (at.value = u.cursor.idx ?? null)] },
    }
  }
  const index = at.value
  const time = index === null ? undefined : shown.times[index]
  const span = (shown.times.length * figures.bucket_seconds) | 0
  return (
    <div class="timeline">
      <Plot
        label={`Anomalies over the last ${duration(span)}, by ${by}: ${shown.names.map((name, i) => `${name} ${sum(shown.counts[i] ?? [])}`).join(', ')}`}
        height={height}
        identity={identity}
        options={options}
        data={data}
      />
      <ul class="legend" aria-label={`Anomalies by ${by}`}>
        <li class="legend-when">
          {time === undefined ? `last ${duration(span)}` : `${clock(time, zone.value)} + ${duration(figures.bucket_seconds)}`}
        </li>
        {shown.names.map((name, i) => (
          <li key={name}>
            <i class="swatch" style={{ background: layerColour(palette, by, i) }} />
            <span>{name}</span>
            <b>{count(index === null ? sum(shown.counts[i] ?? []) : shown.counts[i]?.[index])}</b>
          </li>
        ))}
      </ul>
    </div>
  )
}
