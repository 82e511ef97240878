// What may be done to a detector as it is now, and in which words: only what the server would not refuse.

import type { Detector } from '../api/types'

export interface Plan {
  title: string
  words: string
  path: string
  body: unknown
}

const everywhere = 'in all lanes of all processes'

export function plans(detector: Detector): Plan[] {
  const { name, mode, shadow, rollback_to: back } = detector
  const base = `/detectors/${encodeURIComponent(name)}`
  const all: Plan[] = []
  const offer = (title: string, action: string, body: unknown, ...words: string[]): void => {
    all.push({ title, words: words.join(' '), path: `${base}/${action}`, body })
  }
  const stop = (...words: string[]): void => offer('Switch off', 'mode', { mode: 'off' }, ...words)
  const release = (): void => {
    if (detector.lanes.quarantined === 0) return
    offer('Release', 'release', {}, `${build(name, detector)} leaves quarantine now, ${everywhere}, and judges again from the readings that come, with what it knew. What it did not see meanwhile is not judged later. If its fault comes back, so does the quarantine.`)
  }
  if (mode === 'live' && shadow) {
    const incumbent = build(name, detector)
    const isSame = shadow.candidate.digest === detector.digest
    const candidate = isSame ? `${incumbent} with other settings` : build(name, shadow.candidate)
    offer('Promote the shadow', 'mode', { mode: 'live' }, `${candidate}, which has judged in the shadow, is heard from now on instead of ${incumbent}, ${everywhere}, with what it knows.`, 'The way back is “Roll back”.')
    offer('Take the shadow out', 'rollback', {}, `${candidate} judges no more and is refused until its file or settings change. ${incumbent} goes on live, untouched.`)
    release()
    stop(`${incumbent} and its shadow stop ${everywhere}.`, 'Open episodes are cleared.')
  } else if (mode === 'live') {
    if (back !== null) offer('Roll back', 'rollback', {}, `${build(name, back)} runs again instead of ${build(name, detector)}, ${everywhere}, with what it knows. What runs now is then refused until its file or settings change.`)
    release()
    offer('Into the shadow', 'mode', { mode: 'shadow' }, `${build(name, detector)} goes on judging, but is not heard any more, ${everywhere}. Its open episodes are cleared.`)
    stop(`${build(name, detector)} stops ${everywhere}.`, 'Its open episodes are cleared.')
  } else if (mode === 'shadow') {
    offer('Go live', 'mode', { mode: 'live' }, `${build(name, detector)} is heard from now on, ${everywhere}, with what it knows; what it holds open is raised.`)
    offer('Take the shadow out', 'rollback', {}, `${build(name, detector)} judges no more, ${everywhere}, and is refused until its file or settings change. Nothing runs under its name then.`)
    stop(`${build(name, detector)} stops ${everywhere}.`, 'Nobody has heard it.')
  } else if (detector.generation !== null) {
    // What never ran has nothing to come back.
    offer('Go live', 'mode', { mode: 'live' }, `What ran last under the name ${name} runs again, ${everywhere}.`)
    offer('Into the shadow', 'mode', { mode: 'shadow' }, `What ran last under the name ${name} judges again, ${everywhere}, and is not heard.`)
  }
  return all
}

/** Name, version and the beginning of the digest: two builds may be of one version. */
function build(name: string, of: { version: string | null; digest: string | null }): string {
  const hex = of.digest?.replace(/^sha256:/, '').slice(0, 10)
  return [name, of.version, hex && `(${hex})`].filter(Boolean).join(' ')
}
