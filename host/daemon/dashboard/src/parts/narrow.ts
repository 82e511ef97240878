import { useEffect, useState } from 'preact/hooks'

const query = matchMedia('(max-width: 640px)')

/** Whether this is a phone's width. */
export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(query.matches)
  useEffect(() => {
    const changed = (): void => setNarrow(query.matches)
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [])
  return narrow
}
