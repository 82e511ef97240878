// Server-sent events, read by hand from a fetched body: unlike EventSource this can say from which event on it
// wants to go on, and chooses its own pauses between attempts.

export interface ServerEvent {
  name: string
  data: string
  id: string | null
}

/** Takes text as it arrives, in any pieces, and gives whole events. */
export class EventParser {
  private rest = ''
  private name = ''
  private data: string[] = []
  private id: string | null = null

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (this.data.length > 0) events.push({ name: this.name === '' ? 'message' : this.name, data: this.data.join('\n'), id: this.id })
        this.name = ''
        this.data = []
        this.id = null
        continue
      }
      if (line.startsWith(':')) continue
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      let value = colon < 0 ? '' : line.slice(colon + 1)
      if (value.startsWith(' ')) value = value.slice(1)
      if (field === 'event') this.name = value
      else if (field === 'data') this.data.push(value)
      else if (field === 'id') this.id = value
    }
    return events
  }
}

/** How long to wait before attempt number `attempt` (from 0): doubling to 10 s, spread by `random` in [0, 1). */
export function pauseMs(attempt: number, random: number): number {
  const most = Math.min(10_000, 500 * 2 ** attempt)
  return Math.round(most * (0.7 + 0.3 * random))
}
