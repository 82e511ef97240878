// Questions to the server that serves this page. Each failure becomes one sentence that says what to do.

const base = '/api/v1'

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>

export function query(parameters: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== '') search.append(name, String(value))
  }
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}

export async function get<T>(path: string, parameters: Query = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>(path + query(parameters), signal === undefined ? {} : { signal })
}

/** What changes state; `token` is the operator's. */
export async function post<T>(path: string, body: unknown, token: string): Promise<T> {
  return ask<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  })
}

async function ask<T>(path: string, init: RequestInit): Promise<T> {
  let answer: Response
  try {
    answer = await fetch(base + path, { ...init, cache: 'no-store', credentials: 'omit' })
  } catch (error) {
    if (init.signal?.aborted) throw error
    throw new ApiError(0, 'gridwatch does not answer. This page asks again as soon as it is back.')
  }
  if (!answer.ok) throw new ApiError(answer.status, await problem(answer))
  return (await answer.json()) as T
}

async function problem(answer: Response): Promise<string> {
  try {
    const said = (await answer.json()) as { title?: string; detail?: string }
    const words = said.detail ?? said.title
    if (words !== undefined && words !== '') return words
  } catch {
    // Not a problem document; the status has to do.
  }
  if (answer.status === 503) return 'gridwatch has as many clients as it takes; close some pages and try again.'
  return `gridwatch answered ${answer.status} ${answer.statusText}`.trim()
}
