import { describe, expect, test } from 'vitest'
import { EventParser, pauseMs } from './sse'

const said = ': heartbeat\n\nevent: anomaly\nid: 41\ndata: {"a":1}\n\nevent: overview\r\ndata: {\r\ndata: }\r\n\r\ndata:x\n\n'
const meant = [
  { name: 'anomaly', data: '{"a":1}', id: '41' },
  { name: 'overview', data: '{\n}', id: null },
  { name: 'message', data: 'x', id: null },
]

describe('server-sent events', () => {
  test('are the same however the network cuts them', () => {
    for (let size = 1; size <= said.length; size += 1) {
      const parser = new EventParser()
      const events = []
      for (let at = 0; at < said.length; at += size) events.push(...parser.push(said.slice(at, at + size)))
      expect(events).toEqual(meant)
    }
  })

  test('half an event is none', () => {
    expect(new EventParser().push('event: anomaly\ndata: 1\n')).toEqual([])
  })
})

describe('pauses between attempts', () => {
  test('grow, differ, and end at ten seconds', () => {
    expect(pauseMs(0, 0)).toBe(350)
    expect(pauseMs(0, 1)).toBe(500)
    expect(pauseMs(3, 1)).toBe(4000)
    expect(pauseMs(50, 1)).toBe(10_000)
  })
})
