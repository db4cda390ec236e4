import { readFileSync } from 'node:fs'
import t from 'tap'
import { allTexts, golden } from './texts.js'

t.test('every text that a user can meet has been read in its place', async t => {
  // A text that changes is read once more: what happened, in the user's words, and what to do. Then: node dist/test/messages/texts.js
  t.equal(allTexts(), readFileSync(golden, 'utf8'))
})
