import { useEffect } from 'preact/hooks'
import { query } from '../api/client'
import { Anomalies } from '../parts/anomalies'
import { Filters } from '../parts/filters'
import { place, replace } from '../router'
import { mainList } from '../state/anomalies'
import { fromSearch, isEverything, toQuery } from '../state/filter'

export function AnomaliesPage() {
  const search = place.value.search.toString()
  useEffect(() => {
    const wanted = fromSearch(new URLSearchParams(search))
    // A bare address keeps the filter that is set; one with a filter in it sets it.
    if (!isEverything(wanted) && JSON.stringify(wanted) !== JSON.stringify(mainList.filter.peek())) mainList.set(wanted)
  }, [search])
  return (
    <div class="page-fill">
      <div class="page-head">
        <h1>Anomalies</h1>
        <p class="muted">Newest first, as they were published. The newest 10,000 are kept here.</p>
      </div>
      <section class="panel grow">
        <div class="panel-body flush">
          <Filters list={mainList} changed={(filter) => replace(`#/anomalies${query(toQuery(filter))}`)} />
          <Anomalies list={mainList} wide label="Anomalies, newest first" />
        </div>
      </section>
    </div>
  )
}
