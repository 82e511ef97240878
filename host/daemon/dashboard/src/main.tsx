import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import './style/base.css'
import './style/shell.css'
import './style/lists.css'
import './style/overview.css'
import './style/plots.css'
import './style/pages.css'
import { App } from './app'
import { connect } from './state/stream'

const root = document.getElementById('app')
if (root !== null) {
  render(<App />, root)
  void connect()
}
