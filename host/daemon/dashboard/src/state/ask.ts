// A question whose answer a component shows: asked again when what it depends on (`also` what it does not name)
// changes, when the connection came back, and, if wanted, every so often. The last good answer stays while a new one is on its way.

import { useSignal, type Signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { get, type Query } from '../api/client'
import { epoch } from './stream'
import { inTurn } from './turn'

export interface Answer<T> {
  value: T | null
  error: string | null
  status: number
  loading: boolean
}

export function useAsk<T>(path: string | null, parameters: Query = {}, everySeconds = 0, also = ''): Signal<Answer<T>> {
  const answer = useSignal<Answer<T>>({ value: null, error: null, status: 0, loading: true })
  const key = JSON.stringify([path, parameters])
  const again = epoch.value
  useEffect(() => {
    answer.value = { value: null, error: null, status: 0, loading: true }
  }, [path])
  useEffect(() => {
    if (path === null) return
    const control = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async (): Promise<void> => {
      answer.value = { ...answer.peek(), loading: true }
      try {
        const question = (): Promise<T> => get<T>(path, parameters, control.signal)
        const value = await (path.endsWith('/window') ? inTurn(question, control.signal) : question())
        answer.value = { value, error: null, status: 200, loading: false }
      } catch (error) {
        if (control.signal.aborted) return
        const status = (error as { status?: number }).status ?? 0
        answer.value = { value: answer.peek().value, error: (error as Error).message, status, loading: false }
      }
      if (everySeconds > 0) timer = setTimeout(ask, everySeconds * 1000)
    }
    void ask()
    return () => {
      control.abort()
      clearTimeout(timer)
    }
  }, [key, again, everySeconds, also])
  return answer
}
