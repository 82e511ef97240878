// uPlot in a box of fixed height: made anew when its options change, given data when only those do.

import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'

interface Props {
  label: string
  height: number
  /** Everything that `options` depends on besides the data. */
  identity: string
  options: () => Omit<uPlot.Options, 'width' | 'height'>
  data: uPlot.AlignedData
  onPlot?: (plot: uPlot | null) => void
}

export function Plot({ label, height, identity, options, data, onPlot }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  useEffect(() => {
    const element = box.current
    if (element === null) return
    const made = new uPlot({ ...options(), width: Math.max(50, element.clientWidth), height }, data, element)
    plot.current = made
    onPlot?.(made)
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height })
    })
    observer.observe(element)
    return () => {
      observer.disconnect()
      onPlot?.(null)
      made.destroy()
      plot.current = null
    }
  }, [identity, height])
  const shown = useRef(data)
  useEffect(() => {
    if (shown.current !== data) plot.current?.setData(data)
    shown.current = data
  }, [data])
  return <div ref={box} class="plot" role="img" aria-label={label} style={{ height: `${height}px` }} />
}
