// The frame around every page: where one can go, whether the server is there, and how things are shown.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { AnomaliesPage } from './pages/anomalies'
import { AnomalyPage } from './pages/anomaly'
import { DeadLettersPage } from './pages/dead_letters'
import { DetectorPage } from './pages/detector'
import { DetectorsPage } from './pages/detectors'
import { OverviewPage } from './pages/overview'
import { SensorPage } from './pages/sensor'
import { SensorsPage } from './pages/sensors'
import { Help } from './parts/help'
import { Banner, News, Pulse } from './parts/link'
import { listenToKeys } from './parts/keys'
import { Empty } from './parts/panel'
import { place, to } from './router'
import { dark, theme, zone } from './state/settings'
import { detectors, link, overview } from './state/stream'
import { short } from './format/number'

const nav: { name: string; parts: string[]; also: string }[] = [
  { name: 'Overview', parts: [], also: '' },
  { name: 'Anomalies', parts: ['anomalies'], also: 'anomaly' },
  { name: 'Detectors', parts: ['detectors'], also: 'detector' },
  { name: 'Sensors', parts: ['sensors'], also: 'sensor' },
  { name: 'Dead letters', parts: ['dead-letters'], also: '' },
]

export function App() {
  const help = useSignal(false)
  const main = useRef<HTMLElement>(null)
  const { parts } = place.value
  const path = parts.join('/')
  useEffect(() => listenToKeys(() => (help.value = true)), [])
  const first = useRef(true)
  useEffect(() => {
    const title = parts.length === 0 ? 'overview' : (parts.at(-1) ?? '')
    document.title = `${title} · gridwatch`
    // A new page begins at its top, and for who listens, with its heading.
    if (first.current) first.current = false
    else {
      scrollTo(0, 0)
      main.current?.focus({ preventScroll: true })
    }
  }, [path])
  return (
    <div class={link.value.state === 'lost' ? 'frame stale' : 'frame'}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the content
      </a>
      <Header help={() => (help.value = true)} />
      <Banner />
      <News />
      <main id="main" ref={main} tabIndex={-1}>
        <CurrentPage />
      </main>
      {help.value && <Help close={() => (help.value = false)} />}
    </div>
  )
}

function CurrentPage() {
  const [page, id] = place.value.parts
  switch (page) {
    case undefined:
      return <OverviewPage />
    case 'anomalies':
      return <AnomaliesPage />
    case 'anomaly':
      if (id !== undefined) return <AnomalyPage id={id} />
      break
    case 'detectors':
      return <DetectorsPage />
    case 'detector':
      if (id !== undefined) return <DetectorPage key={id} name={id} />
      break
    case 'sensors':
      return <SensorsPage />
    case 'sensor':
      if (id !== undefined) return <SensorPage key={id} id={id} />
      break
    case 'dead-letters':
      return <DeadLettersPage />
  }
  return (
    <div class="page">
      <h1>No such page</h1>
      <Empty title="Nothing is at this address">
        <a href={to()}>To the overview</a>
      </Empty>
    </div>
  )
}

function Header({ help }: { help: () => void }) {
  const here = place.value.parts[0] ?? ''
  const said = overview.value
  const wrong = detectors.value?.filter((detector) => !['running', 'disabled', 'starting'].includes(detector.fate)).length ?? 0
  const badge = (name: string): { n: number; words: string } | null => {
    if (name === 'Detectors' && wrong > 0) return { n: wrong, words: 'not running' }
    if (name === 'Dead letters' && (said?.dead_letters_total ?? 0) > 0) return { n: said?.dead_letters_total ?? 0, words: 'records' }
    return null
  }
  return (
    <header class="top">
      <a class="brand" href={to()}>
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <path d="M3 18h6l3-9 5 15 4-10 2 4h6" fill="none" stroke="currentColor" stroke-width="3" stroke-linejoin="round" stroke-linecap="round" />
        </svg>
        gridwatch
      </a>
      <nav aria-label="Pages">
        {nav.map(({ name, parts, also }) => {
          const current = here === (parts[0] ?? '') || (also !== '' && here === also)
          const count = badge(name)
          return (
            <a key={name} href={to(...parts)} aria-current={current ? 'page' : undefined}>
              {name}
              {count !== null && (
                <span class="badge">
                  {short(count.n)}
                  <span class="unseen"> {count.words}</span>
                </span>
              )}
            </a>
          )
        })}
      </nav>
      <div class="top-end">
        <Pulse />
        <button type="button" class="icon-button" onClick={() => (zone.value = zone.value === 'utc' ? 'local' : 'utc')} aria-label={`Times are in ${zone.value === 'utc' ? 'UTC' : 'local time'}: change`}>
          {zone.value === 'utc' ? 'UTC' : 'Local'}
        </button>
        <button type="button" class="icon-button" onClick={() => (theme.value = dark.value ? 'light' : 'dark')} aria-label={`Change to the ${dark.value ? 'light' : 'dark'} theme`}>
          <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">
            <path d="M8 1.5a6.5 6.5 0 1 0 0 13zM8 1.5a6.5 6.5 0 0 1 0 13" fill="none" stroke="currentColor" stroke-width="1.4" />
            <path d="M8 1.5a6.5 6.5 0 1 0 0 13z" fill="currentColor" />
          </svg>
        </button>
        <button type="button" class="icon-button" onClick={help} aria-label="Keys and help">
          ?
        </button>
      </div>
    </header>
  )
}
