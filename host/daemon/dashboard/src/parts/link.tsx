// Whether the server is there: a small sign always, a banner when it is not; and what has just changed of detectors.

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { duration } from '../format/time'
import { to } from '../router'
import { now } from '../state/clock'
import { link, news, overview, retryNow } from '../state/stream'
import { Time } from './time'

export function Pulse() {
  const { state } = link.value
  const said = overview.value
  const words =
    state === 'lost' ? 'connection lost' : state === 'connecting' ? 'connecting' : said === null ? 'live' : said.ready || said.state === 'draining' ? said.state : 'not ready'
  const why = said?.not_ready.map(({ part, why }) => `${part}: ${why}`).join('\n')
  const title = said === null ? '' : `${said.instance}, version ${said.version}, ${said.source}, ${said.delivery}${why === '' ? '' : `\n${why}`}`
  return (
    <span class={`pulse pulse-${state} ${words === 'not ready' ? 'pulse-unready' : ''}`} title={title} data-link={state}>
      <i aria-hidden="true" />
      <span>{words}</span>
      {said !== null && said.instance !== 'only' && <span class="instance">{said.instance}</span>}
    </span>
  )
}

export function Banner() {
  const dismissed = useSignal('')
  const { state, since, retryAt, why } = link.value
  const said = overview.value
  if (state === 'lost') {
    const wait = retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - now.value) / 1000))
    return (
      <div class="banner banner-lost" role="alert">
        <b>Connection lost</b>
        <span>
          What you see is of <Time at={said?.now ?? since} form="clock" />
          <span aria-hidden="true">, {duration(Math.round((now.value - since) / 1000))} ago</span>. gridwatch: {why}. Trying again
          <span aria-hidden="true">{wait > 0 ? ` in ${wait} s` : '…'}</span>.
        </span>
        <button type="button" onClick={retryNow}>
          Now
        </button>
      </div>
    )
  }
  const missing = said?.not_ready.map(({ part, why }) => `${part}: ${why}`).join('; ') ?? ''
  const words = said?.state === 'draining' ? 'It finishes what was read, commits and ends.' : missing
  if (state === 'live' && said !== null && words !== '' && words !== dismissed.value) {
    return (
      <div class="banner banner-note" role="status">
        <b>{said.state === 'draining' ? 'Draining' : 'Not ready'}</b>
        <span class="banner-words" title={words}>
          {words}
        </span>
        <button type="button" onClick={() => (dismissed.value = words)}>
          Hide
        </button>
      </div>
    )
  }
  return null
}

const shownMs = 8000

/** A change of a detector, told for some seconds wherever one is. */
export function News() {
  const shown = useSignal<typeof news.value>(null)
  const said = news.value
  useEffect(() => {
    if (said === null) return
    shown.value = said
    const timer = setTimeout(() => (shown.value = null), shownMs)
    return () => clearTimeout(timer)
  }, [said])
  return (
    <div class="news" role="status">
      {shown.value !== null && (
        <a href={to('detector', shown.value.detector)}>
          <b>{shown.value.detector}</b> {shown.value.entry.what.replaceAll('_', ' ')} {shown.value.entry.version ?? ''}
          {shown.value.entry.detail && <span class="muted">{shown.value.entry.detail}</span>}
        </a>
      )}
    </div>
  )
}
