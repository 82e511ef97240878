// Questions that cost the server much are asked one after the other.

let last: Promise<unknown> = Promise.resolve()

/** Does `work` when all before it is done; not at all if `signal` was aborted meanwhile. */
export function inTurn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const mine = last.then(() => {
    signal.throwIfAborted()
    return work()
  })
  last = mine.catch(() => undefined)
  return mine
}
