import { matrix } from './matrix.js'

matrix(false)
