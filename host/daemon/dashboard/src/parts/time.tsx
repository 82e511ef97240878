import { ago, clock, dateTime, dayTime } from '../format/time'
import { now } from '../state/clock'
import { zone } from '../state/settings'

type Moment = string | number | null | undefined

/** A time in the zone that was chosen; the other one is in its title. */
export function Time({ at, form = 'full' }: { at: Moment; form?: 'full' | 'day' | 'date' | 'clock' | 'precise' }) {
  const text =
    form === 'date' ? dateTime(at, zone.value).slice(0, 10) : form === 'day' ? dayTime(at, zone.value) : form === 'clock' ? clock(at, zone.value) : dateTime(at, zone.value, form === 'precise')
  const other = zone.value === 'utc' ? 'local' : 'utc'
  const title = `${dateTime(at, zone.value, true)} ${zone.value === 'utc' ? 'UTC' : 'local'} (${dateTime(at, other, true)} ${other === 'utc' ? 'UTC' : 'local'})`
  return (
    <time dateTime={typeof at === 'string' ? at : undefined} title={title}>
      {text}
    </time>
  )
}

export function Ago({ at }: { at: Moment }) {
  return <span title={dateTime(at, zone.value, true)}>{ago(at, now.value)}</span>
}
