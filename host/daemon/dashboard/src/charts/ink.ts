// Colours of charts: canvases know no custom properties, so they are read when the theme changes.

import { computed } from '@preact/signals'
import { dark } from '../state/settings'

export interface Ink {
  text: string
  grid: string
  line: string
  expected: string
  band: string
  faint: string
  critical: string
  warning: string
  info: string
  panel: string
  kinds: string[]
}

export const ink = computed<Ink>(() => {
  void dark.value
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    text: colour('muted'),
    grid: colour('grid'),
    line: colour('line'),
    expected: colour('expected'),
    band: colour('band'),
    faint: colour('faint'),
    critical: colour('critical'),
    warning: colour('warning'),
    info: colour('info'),
    panel: colour('panel'),
    kinds: [1, 2, 3, 4, 5, 6, 7, 8].map((n) => colour(`kind-${n}`)),
  }
})

export function kindColour(palette: Ink, index: number): string {
  return palette.kinds[index % palette.kinds.length] ?? palette.line
}

/** A colour with another opacity; colours of the style sheet are #rrggbb. */
export function faded(colour: string, opacity: number): string {
  return `${colour}${Math.round(opacity * 255).toString(16).padStart(2, '0')}`
}
