import t from 'tap'
import { runScenarios } from '../support/course.js'

runScenarios(t, 'field', '--rest', 'shim')
