// A new build beside the one that runs: what both say, and what only one of them does.

import type { Comparison, Difference } from '../api/types'
import { count, nanoseconds, none } from '../format/number'
import { subject } from './anomalies'
import { Digest, SeverityMark } from './marks'
import { Empty, Panel } from './panel'
import { Time } from './time'
import { to } from '../router'

export function ShadowPanel({ shadow }: { shadow: Comparison | null }) {
  if (shadow === null) {
    return (
      <Panel title="Shadow against incumbent">
        <Empty title="Nothing runs in its shadow">
          With mode = "shadow" in NAME.toml, first the mode and then the build, what is copied as NAME.wasm judges the same readings beside the one that runs,
          without being heard, and is compared here.
        </Empty>
      </Panel>
    )
  }
  const { candidate, incumbent, cost } = shadow
  return (
    <Panel
      title="Shadow against incumbent"
      aside={
        <span class="muted">
          {shadow.since === null ? (
            'no readings yet'
          ) : (
            <>
              {count(shadow.readings)} readings since <Time at={shadow.since} /> (event time)
            </>
          )}
        </span>
      }
    >
      <div class="versus">
        <div class="versus-side">
          <h3>Candidate, in the shadow</h3>
          <p>
            <b>{candidate.version}</b> <Digest digest={candidate.digest} />
            {incumbent?.digest === candidate.digest && <span class="muted"> with other settings</span>}
          </p>
          <p>{nanoseconds(cost?.candidate_ns)} a reading</p>
        </div>
        <Balance all={shadow} />
        <div class="versus-side">
          <h3>Incumbent, live</h3>
          {incumbent === null ? (
            <p class="muted">Nobody is live under this name: all that the candidate finds, only it finds.</p>
          ) : (
            <>
              <p>
                <b>{incumbent.version}</b> <Digest digest={incumbent.digest} />
              </p>
              <p>{nanoseconds(cost?.incumbent_ns)} a reading</p>
            </>
          )}
        </div>
      </div>
      <div class="columns two">
        <Differences name="Kind" rows={(shadow.by_kind ?? []).map((row) => ({ ...row, name: row.kind }))} />
        <Differences name="Sensor or group" rows={(shadow.by_sensor ?? []).map((row) => ({ ...row, name: subject(row) }))} linked />
      </div>
      {(shadow.examples?.length ?? 0) > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Examples of differences">
          <table>
            <caption>Examples</caption>
            <thead>
              <tr>
                <th>Said by</th>
                <th>Event time</th>
                <th>Kind</th>
                <th>Sensor or group</th>
                <th>Explanation</th>
              </tr>
            </thead>
            <tbody>
              {shadow.examples.slice(0, 50).map((example, i) => (
                <tr key={i}>
                  <td>
                    <span class={`chip ${example.side}`}>{example.side === 'only_new' ? 'only new' : 'only old'}</span>
                  </td>
                  <td>
                    <Time at={example.timestamp} form="day" />
                  </td>
                  <td>
                    <SeverityMark severity={example.severity} /> {example.kind}
                  </td>
                  <td>{subject(example)}</td>
                  <td class="wrap">{example.explanation ?? none}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}

/** Three figures and one bar of their shares. */
function Balance({ all }: { all: Difference }) {
  const parts: [keyof Difference, string, number][] = [
    ['only_new', 'only new', all.only_new],
    ['both', 'both', all.both],
    ['only_old', 'only old', all.only_old],
  ]
  return (
    <div class="balance">
      <div class="balance-bar" aria-hidden="true">
        {parts.map(([name, , n]) => (
          <i key={name} class={name} style={{ flexGrow: n }} />
        ))}
      </div>
      <dl>
        {parts.map(([name, words, n]) => (
          <div key={name}>
            <dt>
              <i class={`swatch ${name}`} /> {words}
            </dt>
            <dd>{count(n)}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

function Differences({ name, rows, linked = false }: { name: string; rows: (Difference & { name: string; sensor_id?: string | null })[]; linked?: boolean }) {
  const sorted = [...rows].sort((a, b) => b.only_new + b.only_old - a.only_new - a.only_old).slice(0, 20)
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Differences by ${name.toLowerCase()}`}>
      <table>
        <thead>
          <tr>
            <th>{name}</th>
            <th class="n">Both</th>
            <th class="n">Only new</th>
            <th class="n">Only old</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={row.name}>
              <th scope="row">{linked && row.sensor_id ? <a href={to('sensor', row.sensor_id)}>{row.name}</a> : row.name}</th>
              <td class="n">{count(row.both)}</td>
              <td class="n">{count(row.only_new)}</td>
              <td class="n">{count(row.only_old)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
