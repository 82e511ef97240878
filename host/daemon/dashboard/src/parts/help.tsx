import { useEffect, useRef } from 'preact/hooks'
import { letters, theme, zone, type Theme } from '../state/settings'
import { overview } from '../state/stream'
import { table } from './keys'
import { Time } from './time'

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  const said = overview.value
  return (
    <dialog ref={dialog} class="help" onClose={close} aria-labelledby="help-title">
      <form method="dialog">
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {table.map(([key, words]) => (
            <div key={key}>
              <dt>
                {key.split('  ').map((one) => (
                  <kbd key={one}>{one}</kbd>
                ))}
              </dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
        <div class="choices">
          <label>
            <input type="checkbox" checked={letters.value === 'on'} onChange={(event) => (letters.value = event.currentTarget.checked ? 'on' : 'off')} />
            Letters are shortcuts
          </label>
          <label>
            Theme
            <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
              <option value="system">as the system</option>
              <option value="dark">dark</option>
              <option value="light">light</option>
            </select>
          </label>
          <label>
            Times
            <select value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value as 'utc' | 'local')}>
              <option value="utc">UTC</option>
              <option value="local">local</option>
            </select>
          </label>
        </div>
        {said !== null && (
          <p class="muted">
            gridwatch {said.version}, instance {said.instance}, source {said.source}, delivery {said.delivery}, started <Time at={said.started_at} />. The
            same data is at <a href="/api/v1/openapi.json">/api/v1</a>.
          </p>
        )}
        <div class="dialog-end">
          <button type="submit">Close</button>
        </div>
      </form>
    </dialog>
  )
}
