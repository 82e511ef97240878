// Small signs that mean the same everywhere. A severity has a shape, a word and a colour.

import type { Detector, Mode, Phase, Severity } from '../api/types'

const shapes: Record<Severity, string> = {
  critical: 'M8 .8 15.2 8 8 15.2.8 8Z',
  warning: 'M8 1.6 15.4 14.4H.6Z',
  info: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z',
}

export function SeverityMark({ severity, word = false }: { severity: Severity; word?: boolean }) {
  return (
    <span class={`severity ${severity}`}>
      <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
        <path d={shapes[severity]} fill="currentColor" />
      </svg>
      <span class={word ? '' : 'unseen'}>{severity}</span>
    </span>
  )
}

const phaseSigns: Record<Phase, string> = { raised: '↑', updated: '↗', cleared: '✓', single: '•' }

export function PhaseMark({ phase }: { phase: Phase }) {
  return (
    <span class={`phase ${phase}`}>
      <span aria-hidden="true">{phaseSigns[phase]}</span> {phase}
    </span>
  )
}

export function ModeMark({ mode }: { mode: Mode }) {
  return <span class={`chip mode-${mode}`}>{mode}</span>
}

const fateSigns: Record<Detector['fate'], string> = {
  running: '●',
  starting: '◌',
  quarantined: '■',
  refused: '✕',
  disabled: '○',
  mixed: '◐',
}

export function FateMark({ fate }: { fate: Detector['fate'] }) {
  return (
    <span class={`chip fate-${fate}`}>
      <span aria-hidden="true">{fateSigns[fate] ?? '·'}</span> {fate}
    </span>
  )
}

export function Digest({ digest, long = false }: { digest: string | null | undefined; long?: boolean }) {
  if (digest === null || digest === undefined || digest === '') return <>–</>
  const hex = digest.replace(/^sha256:/, '')
  return (
    <code class="digest" title={digest}>
      {long ? digest : hex.slice(0, 10)}
    </code>
  )
}
