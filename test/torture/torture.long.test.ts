import t from 'tap'
import { runShortForm } from '../support/course.js'

runShortForm(t, 'torture', 'tcpFlood', 'udpPlain')
