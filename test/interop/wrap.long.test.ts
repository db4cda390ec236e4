import t from 'tap'
import { runInside } from '../system/support/inside.js'

runInside(t, import.meta.url, 'phantun', 'nft')
