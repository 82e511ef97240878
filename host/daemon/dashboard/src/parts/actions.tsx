// What an operator may do to a detector. Each says what it will do, asks, and needs the token of [api] token_file.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { Detector } from '../api/types'
import { ApiError, post } from '../api/client'
import { plans, type Plan } from './plans'
import { useAsk } from '../state/ask'
import { refreshDetectors } from '../state/stream'
import { token } from '../state/settings'

export function Actions({ detector }: { detector: Detector }) {
  // Only what this server says that it can do.
  const document = useAsk<{ paths: Record<string, unknown> }>('/openapi.json').value.value
  const can = (plan: Plan): boolean => document?.paths[`/api/v1/detectors/{name}/${plan.path.split('/').at(-1)}`] !== undefined
  const plan = useSignal<Plan | null>(null)
  const said = useSignal('')
  return (
    <>
      {plans(detector).filter(can).map((one) => (
        <button type="button" key={one.title} onClick={() => (plan.value = one)}>
          {one.title}…
        </button>
      ))}
      <span class="said" role="status">
        {said.value}
      </span>
      {plan.value !== null && (
        <Confirm
          plan={plan.value}
          close={(words) => {
            plan.value = null
            said.value = words
          }}
        />
      )}
    </>
  )
}

function Confirm({ plan, close }: { plan: Plan; close: (words: string) => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const typed = useSignal('')
  const asksToken = useSignal(token.get() === null)
  const error = useSignal<string | null>(null)
  const busy = useSignal(false)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  const run = async (): Promise<void> => {
    const secret = asksToken.value ? typed.value.trim() : (token.get() ?? '')
    if (secret === '') {
      error.value = 'The token is missing. It is in the file that [api] token_file names; without that, in api-token among the checkpoints.'
      return
    }
    busy.value = true
    error.value = null
    try {
      const answer = await post<{ generation?: number }>(plan.path, plan.body, secret)
      token.set(secret)
      void refreshDetectors()
      close(answer.generation === undefined ? 'Done.' : `Accepted as generation ${answer.generation}; lanes follow.`)
    } catch (problem) {
      const status = problem instanceof ApiError ? problem.status : 0
      if (status === 401 || status === 403) {
        token.set(null)
        asksToken.value = true
        error.value = status === 401 ? `This token is not the right one. ${(problem as Error).message}` : (problem as Error).message
      } else error.value = (problem as Error).message
      busy.value = false
    }
  }
  return (
    <dialog ref={dialog} onClose={() => close('')} aria-labelledby="confirm-title">
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault()
          void run()
        }}
      >
        <h2 id="confirm-title">{plan.title}?</h2>
        <p>{plan.words}</p>
        {asksToken.value && (
          <label>
            Token
            <input
              type="password"
              autocomplete="off"
              value={typed.value}
              onInput={(event) => (typed.value = event.currentTarget.value)}
              placeholder="of [api] token_file, or api-token beside the checkpoints"
            />
            <small>It is kept until this tab closes.</small>
          </label>
        )}
        {error.value !== null && (
          <p class="trouble" role="alert">
            {error.value}
          </p>
        )}
        <div class="dialog-end">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy.value}>
            {plan.title}
          </button>
        </div>
      </form>
    </dialog>
  )
}
