// What is wrong now: open episodes, worst first.

import type { Episode, Page, Severity } from '../api/types'
import { duration } from '../format/time'
import { VirtualList } from '../lists/virtual'
import { go, to } from '../router'
import { useAsk } from '../state/ask'
import { overview } from '../state/stream'
import { subject } from './anomalies'
import { SeverityMark } from './marks'
import { useNarrow } from './narrow'
import { Empty, Trouble } from './panel'
import { Time } from './time'

const rank: Record<Severity, number> = { critical: 0, warning: 1, info: 2 }

export function bySeverity(a: Episode, b: Episode): number {
  return rank[a.severity] - rank[b.severity] || Date.parse(b.since) - Date.parse(a.since)
}

export function Episodes({ sensor, detector }: { sensor?: string; detector?: string }) {
  const answer = useAsk<Page<Episode>>('/episodes', { limit: 500, sensor, detector }, 3).value
  const narrow = useNarrow()
  const watermark = Date.parse(overview.value?.watermark ?? '')
  if (answer.error !== null && answer.value === null) return <Trouble words={answer.error} />
  const items = [...(answer.value?.items ?? [])].sort(bySeverity)
  const href = (episode: Episode): string =>
    episode.last !== null && episode.last !== undefined ? to('anomaly', episode.last) : to('sensor', subject(episode))
  return (
    <div class="anomalies">
      <VirtualList
        label="Open episodes"
        items={items}
        total={answer.value?.total ?? 0}
        keyOf={(episode) => episode.episode}
        rowHeight={narrow ? 58 : 32}
        rowClass={(episode) => episode.severity}
        open={(episode) => go(href(episode))}
        head={
          narrow ? undefined : (
            <>
              <span role="columnheader" class="c-severity">
                <span class="unseen">Severity</span>
              </span>
              <span role="columnheader" class="c-time">Since</span>
              <span role="columnheader" class="c-kind">Kind</span>
              <span role="columnheader" class="c-subject">Sensor or group</span>
              <span role="columnheader" class="c-quantity">Quantity</span>
              <span role="columnheader" class="c-words">Explanation</span>
              <span role="columnheader" class="c-phase">Lasts</span>
            </>
          )
        }
        row={(episode) => (
          <>
            <span role="gridcell" class="c-severity">
              <SeverityMark severity={episode.severity} />
            </span>
            <span role="gridcell" class="c-time">
              <Time at={episode.since} form="day" />
            </span>
            <span role="gridcell" class="c-kind">
              <a href={href(episode)} tabIndex={-1}>
                {episode.kind}
              </a>
              <span class="by">{episode.detector}</span>
            </span>
            <span role="gridcell" class="c-subject">
              {subject(episode)}
            </span>
            <span role="gridcell" class="c-quantity">
              {episode.quantity ?? ''}
            </span>
            <span role="gridcell" class="c-words">
              {episode.explanation ?? ''}
            </span>
            <span role="gridcell" class="c-phase">
              {Number.isFinite(watermark) ? duration(Math.max(0, (watermark - Date.parse(episode.since)) / 1000)) : ''}
            </span>
          </>
        )}
        empty={
          answer.value === null ? (
            <Empty title="Asking…" />
          ) : (
            <Empty title="Nothing is wrong now">Every episode that was raised has been cleared.</Empty>
          )
        }
      />
    </div>
  )
}
