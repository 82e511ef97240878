import { describe, expect, it } from 'vitest'
import type { Comparison, Detector } from '../api/types'
import { plans } from './plans'

const live = {
  name: 'limits',
  version: '1.0.0',
  digest: 'sha256:aaaaaaaaaaaaaaaa',
  generation: 3,
  mode: 'live',
  fate: 'running',
  lanes: { running: 2, quarantined: 0 },
  rollback_to: null,
  shadow: null,
} as unknown as Detector

const identity = (digest: string) => ({ version: '1.1.0', digest, generation: 4 })
const shadow = { candidate: identity('sha256:bbbbbbbbbbbbbbbb'), incumbent: identity('sha256:aaaaaaaaaaaaaaaa') } as Comparison
const before = { generation: 2, version: '0.9.0', digest: 'sha256:cccccccccccccccc' }
const titles = (detector: Partial<Detector>): string[] => plans({ ...live, ...detector }).map((plan) => plan.title)

describe('what may be done', () => {
  it('to what runs', () => {
    expect(titles({})).toEqual(['Into the shadow', 'Switch off'])
    expect(titles({ rollback_to: before })).toEqual(['Roll back', 'Into the shadow', 'Switch off'])
  })

  it('to what has a shadow: it goes first, and there is no second one', () => {
    const all = plans({ ...live, shadow, rollback_to: before })
    expect(all.map((plan) => plan.title)).toEqual(['Promote the shadow', 'Take the shadow out', 'Switch off'])
    expect(all.map((plan) => [plan.path, plan.body])).toEqual([
      ['/detectors/limits/mode', { mode: 'live' }],
      ['/detectors/limits/rollback', {}],
      ['/detectors/limits/mode', { mode: 'off' }],
    ])
    expect(all[0]?.words).toMatch(/^limits 1\.1\.0 \(bbbbbbbbbb\).* instead of limits 1\.0\.0 \(aaaaaaaaaa\)/)
    expect(all[1]?.words).toContain('limits 1.0.0 (aaaaaaaaaa) goes on live')
    const same = plans({ ...live, shadow: { ...shadow, candidate: identity('sha256:aaaaaaaaaaaaaaaa') } })
    expect(same[0]?.words).toMatch(/^limits 1\.0\.0 \(aaaaaaaaaa\) with other settings/)
  })

  it('to what shadows alone', () => {
    expect(titles({ mode: 'shadow', shadow: { ...shadow, incumbent: null } })).toEqual(['Go live', 'Take the shadow out', 'Switch off'])
  })

  it('to what is quarantined in a lane', () => {
    const all = plans({ ...live, fate: 'mixed', lanes: { running: 1, quarantined: 1 } })
    expect(all[0]).toMatchObject({ title: 'Release', path: '/detectors/limits/release', body: {} })
    expect(all[0]?.words).toContain('with what it knew')
  })

  it('to what is off, and nothing to what never ran', () => {
    const off = { mode: 'off' as const, fate: 'disabled' as const, version: null, digest: null }
    expect(titles(off)).toEqual(['Go live', 'Into the shadow'])
    expect(titles({ ...off, fate: 'refused', generation: null })).toEqual([])
  })
})
