import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'

/** Copies to the clipboard, also where the page is not served securely (a plain address in a local network). */
async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = document.createElement('textarea')
    field.value = text
    field.className = 'unseen'
    document.body.append(field)
    field.select()
    const done = document.execCommand('copy')
    field.remove()
    return done
  }
}

export function Copy({ text, children }: { text: () => string; children: ComponentChildren }) {
  const said = useSignal<string | null>(null)
  return (
    <button
      type="button"
      class="button copy"
      onClick={async () => {
        said.value = (await write(text())) ? 'Copied' : 'The browser forbids it'
        setTimeout(() => (said.value = null), 1500)
      }}
    >
      <span aria-live="polite">{said.value ?? children}</span>
    </button>
  )
}
