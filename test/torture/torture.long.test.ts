import t from 'tap'
import { runScenarios } from '../support/course.js'

runScenarios(t, 'torture', '--short', 'tcpFlood', 'udpPlain')
