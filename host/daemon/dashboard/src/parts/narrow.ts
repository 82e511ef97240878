import { useEffect, useState } from 'preact/hooks'

const narrow = matchMedia('(max-width: 640px)')
const tall = matchMedia('(min-height: 1000px)')

function useMedia(query: MediaQueryList): boolean {
  const [matches, setMatches] = useState(query.matches)
  useEffect(() => {
    const changed = (): void => setMatches(query.matches)
    query.addEventListener('change', changed)
    return () => query.removeEventListener('change', changed)
  }, [query])
  return matches
}

/** Whether this is a phone's width. */
export const useNarrow = (): boolean => useMedia(narrow)

/** Whether this is a screen with room below, as on a wall. */
export const useTall = (): boolean => useMedia(tall)
