// A small line without axes, as a path: cheap enough to draw each second.

export function sparkPath(values: readonly number[], width: number, height: number, slots: number): { line: string; area: string } {
  if (values.length === 0) return { line: '', area: '' }
  const top = Math.max(...values, 1e-9)
  const step = width / Math.max(1, slots - 1)
  const from = width - (values.length - 1) * step
  const points = values.map((value, i) => `${(from + i * step).toFixed(1)},${(height - 1.5 - (Math.max(0, value) / top) * (height - 4)).toFixed(1)}`)
  const line = `M${points.join('L')}`
  return { line, area: `${line}L${width},${height}L${from.toFixed(1)},${height}Z` }
}

export function Sparkline({ values, slots, label }: { values: readonly number[]; slots: number; label: string }) {
  const { line, area } = sparkPath(values, 240, 40, slots)
  return (
    <svg class="spark" viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label={label}>
      <path d={area} class="spark-area" />
      <path d={line} class="spark-line" vector-effect="non-scaling-stroke" />
    </svg>
  )
}
