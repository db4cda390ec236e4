import { matrix } from './matrix.js'

matrix(true)
