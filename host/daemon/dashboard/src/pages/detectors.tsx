import type { Detector } from '../api/types'
import { bytes, count, nanoseconds, none, percent, short } from '../format/number'
import { Digest, FateMark, ModeMark } from '../parts/marks'
import { Empty } from '../parts/panel'
import { go, to } from '../router'
import { detectors } from '../state/stream'

function faults(detector: Detector): number {
  return Object.values(detector.faults).reduce((total, n) => total + n, 0)
}

export function DetectorsPage() {
  const all = detectors.value
  return (
    <div class="page">
      <div class="page-head">
        <h1>Detectors</h1>
        <p class="muted">What runs. Copy a .wasm into the detectors directory and it appears here; a newer build takes over with what the old one knows.</p>
      </div>
      <section class="panel">
        <div class="panel-body flush">
          {all === null ? (
            <Empty title="Asking…" />
          ) : all.length === 0 ? (
            <Empty title="No detector is here">
              Copy a .wasm file into the detectors directory ([detectors] dir): it is tried out, and runs within seconds if it is sound. If a
              file is there already, its refusal is in the log.
            </Empty>
          ) : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Detectors">
              <table class="rows" data-list>
                <thead>
                  <tr>
                    <th>Name</th>
                    <th>Fate</th>
                    <th>Mode</th>
                    <th>Version</th>
                    <th>Digest</th>
                    <th class="n">Cost a reading</th>
                    <th class="n">Share</th>
                    <th class="n">Findings</th>
                    <th class="n">Raised</th>
                    <th class="n">Open</th>
                    <th class="n">State</th>
                    <th class="n">Memory</th>
                    <th class="n">Skipped</th>
                    <th class="n">Faults</th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((detector, i) => (
                    <tr
                      key={detector.name}
                      data-detector={detector.name}
                      data-active={i === 0 ? '' : undefined}
                      tabIndex={i === 0 ? 0 : -1}
                      onClick={() => go(to('detector', detector.name))}
                      onKeyDown={(event) => {
                        const row = event.currentTarget
                        const next = event.key === 'ArrowDown' || event.key === 'j' ? row.nextElementSibling : event.key === 'ArrowUp' || event.key === 'k' ? row.previousElementSibling : null
                        if (next !== null) {
                          event.preventDefault()
                          event.stopPropagation()
                          ;(next as HTMLElement).focus()
                        } else if (event.key === 'Enter' && event.target === row) go(to('detector', detector.name))
                      }}
                    >
                      <th scope="row">
                        <a href={to('detector', detector.name)} tabIndex={-1}>
                          {detector.name}
                        </a>
                        {detector.shadow && detector.mode === 'live' && <span class="chip mode-shadow">shadow beside it</span>}
                      </th>
                      <td title={detector.why ?? undefined}>
                        <FateMark fate={detector.fate} />
                      </td>
                      <td>
                        <ModeMark mode={detector.mode} />
                      </td>
                      <td>{detector.version ?? none}</td>
                      <td>
                        <Digest digest={detector.digest} />
                      </td>
                      <td class="n">{nanoseconds(detector.cost?.ns_per_reading)}</td>
                      <td class="n">{percent(detector.cost?.share)}</td>
                      <td class="n">{short(detector.findings_total)}</td>
                      <td class="n">{short(detector.anomalies.raised + detector.anomalies.single)}</td>
                      <td class="n">{count(detector.open_episodes)}</td>
                      <td class="n">{bytes(detector.state_bytes)}</td>
                      <td class="n">{bytes(detector.memory_bytes)}</td>
                      <td class={`n ${detector.skipped_total > 0 ? 'bad' : ''}`}>{count(detector.skipped_total)}</td>
                      <td class={`n ${faults(detector) > 0 ? 'bad' : ''}`}>{count(faults(detector))}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </div>
      </section>
      {all?.some((detector) => detector.why !== null && detector.why !== undefined && detector.fate !== 'running') && (
        <section class="panel">
          <header class="panel-head">
            <h2>Why not</h2>
          </header>
          <div class="panel-body">
            <dl class="whys">
              {all
                .filter((detector) => detector.why && detector.fate !== 'running')
                .map((detector) => (
                  <div key={detector.name}>
                    <dt>
                      <a href={to('detector', detector.name)}>{detector.name}</a> <FateMark fate={detector.fate} />
                    </dt>
                    <dd>{detector.why}</dd>
                  </div>
                ))}
            </dl>
          </div>
        </section>
      )}
    </div>
  )
}
