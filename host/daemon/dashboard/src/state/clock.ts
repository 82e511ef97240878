import { signal } from '@preact/signals'

/** The wall clock, each second: for "8 s ago". */
export const now = signal(Date.now())
setInterval(() => (now.value = Date.now()), 1000)
