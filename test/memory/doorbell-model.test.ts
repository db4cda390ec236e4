/**
 * The wake-up rule of doorbell.ts and of `Inbox.wake` as a state machine, run through every interleaving: producers that commit and
 * ring, a consumer that drains, arms, looks again and sleeps. Every step is one access to shared memory or one system call. A state
 * without a next step in which a record still lies in a ring is a lost wake-up.
 */
import t from 'tap'

interface Rules {
  producers: number
  /** Records per producer. */
  records: number
  /** The consumer may stop draining early and ring itself (its budget). */
  budget?: boolean
  // What a careless author would leave out:
  recheck?: false
  recheckFirst?: true
  ringBeforeCommit?: true
  exchange?: false
  selfRing?: false
}

interface State {
  /** Per producer: step, records sent. */
  steps: number[]
  sent: number[]
  rings: number[]
  /** needWake, eventfd. */
  word: number
  event: number
  consumer: number
  /** Ring that the consumer looks at. */
  at: number
  /** Writes by producers, arms by the consumer. */
  writes: number
  arms: number
}

const P = { commit: 0, load: 1, exchange: 2, write: 3 } as const
const C = { sleep: 0, drainEvent: 1, drainRing: 2, arm: 3, recheck: 4, disarm: 5, ringSelf: 6 } as const

const successors = (state: State, rules: Rules): State[] => {
  const next: State[] = []
  const step = (change: (s: State) => void) => {
    const s = { ...state, steps: [...state.steps], sent: [...state.sent], rings: [...state.rings] }
    change(s)
    next.push(s)
  }
  const first = rules.ringBeforeCommit === true ? P.load : P.commit
  for (let p = 0; p < rules.producers; p++) {
    /** The record's last step is done. */
    const finish = (s: State) => {
      if (rules.ringBeforeCommit === true) s.steps[p] = P.commit
      else {
        s.sent[p]++
        s.steps[p] = first
      }
    }
    if (state.sent[p] === rules.records) continue
    if (state.steps[p] === P.commit) {
      step(s => {
        s.rings[p]++
        s.steps[p] = P.load
        if (rules.ringBeforeCommit === true) s.sent[p]++
      })
    } else if (state.steps[p] === P.load) {
      step(s => {
        if (s.word === 0) finish(s)
        else s.steps[p] = rules.exchange === false ? P.write : P.exchange
      })
    } else if (state.steps[p] === P.exchange) {
      step(s => {
        if (s.word === 0) finish(s)
        else s.steps[p] = P.write
        s.word = 0
      })
    } else {
      step(s => {
        s.event = 1
        s.writes++
        finish(s)
      })
    }
  }
  const go = (consumer: number, change: (s: State) => void = () => {}) =>
    step(s => {
      s.consumer = consumer
      s.at = 0
      change(s)
    })
  const empty = state.rings[state.at] === 0
  const last = state.at === rules.producers - 1
  switch (state.consumer) {
    case C.sleep:
      if (state.event === 1) go(C.drainEvent)
      break
    case C.drainEvent:
      go(C.drainRing, s => {
        s.event = 0
      })
      break
    case C.drainRing:
      if (!empty) step(s => s.rings[s.at]--)
      else if (!last) step(s => s.at++)
      else go(rules.recheckFirst === true ? C.recheck : C.arm)
      if (!empty && rules.budget === true) go(C.ringSelf)
      break
    case C.arm:
      go(rules.recheck === false || rules.recheckFirst === true ? C.sleep : C.recheck, s => {
        s.word = 1
        s.arms++
      })
      break
    case C.recheck:
      if (!empty) go(rules.recheckFirst === true ? C.drainRing : C.disarm)
      else if (!last) step(s => s.at++)
      else go(rules.recheckFirst === true ? C.arm : C.sleep)
      break
    case C.disarm:
      go(C.ringSelf, s => {
        s.word = 0
      })
      break
    case C.ringSelf:
      go(C.sleep, s => {
        if (rules.selfRing !== false) s.event = 1
      })
  }
  return next
}

/** Visits every state that any interleaving can reach. */
const explore = (rules: Rules) => {
  const none = new Array<number>(rules.producers).fill(0)
  const first = rules.ringBeforeCommit === true ? P.load : P.commit
  const start: State = {
    steps: none.map(() => first),
    sent: none,
    rings: none,
    word: 0,
    event: 0,
    consumer: C.arm,
    at: 0,
    writes: 0,
    arms: 0,
  }
  const seen = new Set([JSON.stringify(start)])
  const open = [start]
  const found = { states: 0, ends: 0, stuck: 0, overRung: 0 }
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    found.states++
    const next = successors(state, rules)
    if (next.length === 0) {
      found.ends++
      if (state.rings.some(records => records > 0)) found.stuck++
      if (state.writes > state.arms) found.overRung++
    }
    for (const s of next) {
      const key = JSON.stringify(s)
      if (seen.has(key)) continue
      seen.add(key)
      open.push(s)
    }
  }
  return found
}

t.test('no interleaving ends with a record in a ring and the consumer asleep', async t => {
  for (const [producers, records] of [
    [1, 1],
    [1, 4],
    [2, 1],
    [2, 2],
    [3, 1],
  ]) {
    const { states, ends, stuck, overRung } = explore({ producers, records })
    t.equal(stuck, 0, `${producers} producers, ${records} records each: ${states} states`)
    t.ok(ends > 0)
    t.equal(overRung, 0, 'at most one ring per arm')
  }
  t.equal(explore({ producers: 1, records: 3, budget: true }).stuck, 0, 'with a budget')
  t.equal(explore({ producers: 2, records: 2, budget: true }).stuck, 0)
})

t.test('the model notices what is left out', async t => {
  const stuck = (rules: Partial<Rules>) => explore({ producers: 1, records: 2, ...rules }).stuck
  t.ok(stuck({ recheck: false }) > 0, 'no second look')
  t.ok(stuck({ recheckFirst: true }) > 0, 'second look before arming')
  t.ok(stuck({ ringBeforeCommit: true }) > 0, 'rung before the record is there')
  t.ok(stuck({ selfRing: false }) > 0, 'found something, but nobody wakes the consumer again')
  const loadOnly = explore({ producers: 2, records: 2, exchange: false })
  t.equal(loadOnly.stuck, 0)
  t.ok(loadOnly.overRung > 0, 'without the exchange nothing is lost, but it rings too often')
})
