import t from 'tap'
import { runInside } from '../support/inside.js'

runInside(t, import.meta.url)
