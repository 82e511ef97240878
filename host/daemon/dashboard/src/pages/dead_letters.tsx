import type { DeadLetters } from '../api/types'
import { bytes, count, percent } from '../format/number'
import { Empty, Panel, Trouble } from '../parts/panel'
import { Time } from '../parts/time'
import { useAsk } from '../state/ask'

/** What each reason says of the record, and what mends it. */
const meaning: Record<string, string> = {
  not_json: 'is no JSON object; check what the producer sends',
  not_csv: 'has another number of fields than the header, or bytes that are not UTF-8',
  no_sensor_id: 'does not say which sensor; [decode] says where the id is',
  no_timestamp: 'does not say when; [decode] says where the time is',
  bad_timestamp: 'says when in a way that is not understood; see [decode] timestamp_format',
  time_ahead: 'is further ahead than time_ahead_reject_max; a producer’s clock is wrong',
  no_quantities: 'carries no number',
  too_large: 'is larger than record_bytes_max',
  too_many_sensors: 'is of a new sensor, and there are sensors_max already',
  truncated_frame: 'begins with a schema’s id and ends within it',
  schema_violation: 'does not fit the schema whose id it names',
  unknown_schema: 'names a schema that the registry does not have: register it',
  poison: 'made a detector fail',
}

export function DeadLettersPage() {
  const answer = useAsk<DeadLetters>('/dead-letters', {}, 2).value
  const said = answer.value
  const reasons = Object.entries(said?.by_reason ?? {})
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1])
  const most = reasons[0]?.[1] ?? 1
  return (
    <div class="page">
      <div class="page-head">
        <h1>Dead letters</h1>
        <p class="muted">Records that are no readings. None is dropped in silence: each is kept as it came, with its place and the reason.</p>
      </div>
      {said === null ? (
        answer.error !== null ? (
          <Trouble words={answer.error} />
        ) : (
          <Panel title="By reason">
            <Empty title="Asking…" />
          </Panel>
        )
      ) : said.total === 0 ? (
        <Panel title="By reason">
          <Empty title="There are none">Every record so far was a reading.</Empty>
        </Panel>
      ) : (
        <>
          <Panel title="By reason" aside={<span class="muted">{count(said.total)} in all</span>}>
            <div class="scroll" tabIndex={0} role="region" aria-label="Dead letters by reason">
              <table class="bars">
                <thead>
                  <tr>
                    <th>Reason</th>
                    <th class="n">Records</th>
                    <th class="n">Share</th>
                    <th>
                      <span class="unseen">Bar</span>
                    </th>
                    <th>The record…</th>
                  </tr>
                </thead>
                <tbody>
                  {reasons.map(([reason, n]) => (
                    <tr key={reason}>
                      <th scope="row">{reason}</th>
                      <td class="n">{count(n)}</td>
                      <td class="n">{percent(n / said.total)}</td>
                      <td class="bar-cell">
                        <i class="bar" style={{ width: `${(n / most) * 100}%` }} />
                      </td>
                      <td class="wrap">{meaning[reason] ?? ''}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Panel>
          <Panel title="Samples" aside={<span class="muted">newest first</span>}>
            <ul class="letters">
              {said.samples.slice(0, 100).map((sample, i) => (
                <li key={i}>
                  <p>
                    <Time at={sample.at} form="precise" /> <b>{sample.reason}</b> <span class="muted">{source(sample.source)}</span>
                  </p>
                  {sample.detail && <p>{sample.detail}</p>}
                  <pre tabIndex={0} role="region" aria-label={`Bytes of a record, ${sample.reason}`}>
                    {sample.is_base64 ? `base64 ${sample.bytes}` : sample.bytes}
                    {(sample.bytes_total ?? 0) > sample.bytes.length && !sample.is_base64 ? `… ${bytes(sample.bytes_total)} in all` : ''}
                  </pre>
                </li>
              ))}
            </ul>
          </Panel>
          <p class="muted">
            Once the cause is repaired: <code>gridwatch dead-letters replay -c gridwatch.toml --dry-run</code> says what would be sent to its source again.
          </p>
        </>
      )}
    </div>
  )
}

function source(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return ''
  return Object.entries(value as Record<string, unknown>)
    .map(([name, part]) => `${name} ${String(part)}`)
    .join(', ')
}
