import type { ComponentChildren } from 'preact'

/** A framed part of a page with a heading of its own. */
export function Panel(props: {
  title: ComponentChildren
  id?: string
  aside?: ComponentChildren
  class?: string
  children: ComponentChildren
}) {
  return (
    <section class={`panel ${props.class ?? ''}`} {...(props.id === undefined ? {} : { id: props.id })}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        {props.aside !== undefined && <div class="panel-aside">{props.aside}</div>}
      </header>
      <div class="panel-body">{props.children}</div>
    </section>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  )
}

/** What went wrong, in words, and the way to try again. */
export function Trouble({ words, again }: { words: string; again?: () => void }) {
  return (
    <div class="trouble" role="alert">
      <p>{words}</p>
      {again !== undefined && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  )
}

/** Names and values in columns. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
