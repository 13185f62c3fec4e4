import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encapsulatedSyntaxes, isNative, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { frequentStorageClasses, SopClass, STORAGE_ROOT } from '../../src/dicom/uids.ts'
import { findProposal, getProposal, storeProposal, type GetPlan } from '../../src/pacs/contexts.ts'
import type { Proposal } from '../../src/pacs/pool/proposal.ts'
import { CT, EXPLICIT_LE, IMPLICIT_LE, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION } from '../support/golden.ts'

const JPEG_2000 = '1.2.840.10008.1.2.4.90'
const MR = `${STORAGE_ROOT}4`
const BIG_ENDIAN = '1.2.840.10008.1.2.2'
const NATIVE = [EXPLICIT_LE, IMPLICIT_LE, BIG_ENDIAN]

/** Classes that are not among the frequent ones. */
const rare = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `1.2.826.0.1.3680043.9.${index + 1}`)

const plan: GetPlan = { classes: [CT], compressed: true, others: true, maxContexts: 128, roles: 'scp' }

function classesOf({ contexts }: Proposal): string[] {
  return [...new Set(contexts.map(({ abstractSyntax }) => abstractSyntax))]
}

/** PS3.8 9.3.2.2: odd, each once; here counted up from 1. */
function expectValidIds({ contexts }: Proposal, max: number): void {
  expect(contexts.map(({ id }) => id)).toEqual(contexts.map((_, index) => 2 * index + 1))
  expect(contexts.length).toBeLessThanOrEqual(max)
  for (const { transferSyntaxes } of contexts) expect(transferSyntaxes.length).toBeGreaterThan(0)
}

describe('for queries', () => {
  test('verification and Study Root C-FIND are offered in the native syntaxes, Explicit first', () => {
    expect(findProposal({ extendedNegotiation: false, relational: true, fuzzy: false })).toEqual({
      contexts: [
        { id: 1, abstractSyntax: VERIFICATION, transferSyntaxes: NATIVE },
        { id: 3, abstractSyntax: STUDY_ROOT_FIND, transferSyntaxes: NATIVE },
      ],
    })
  })

  test('relational, fuzzy, empty value and multiple value matching are asked for by extended negotiation', () => {
    const information = Uint8Array.of(1, 0, 0, 0, 0, 1, 1)
    expect(findProposal({ extendedNegotiation: true, relational: true, fuzzy: false }).extended).toEqual([
      { sopClass: STUDY_ROOT_FIND, information },
    ])
    expect(
      findProposal({ extendedNegotiation: true, relational: false, fuzzy: false }).extended?.[0]?.information[0],
    ).toBe(0)
  })
})

describe('for C-GET (case 120)', () => {
  const planned: fc.Arbitrary<GetPlan> = fc.record({
    classes: fc.nat({ max: 140 }).map((count) => [...frequentStorageClasses, ...rare(80)].slice(-count - 1)),
    compressed: fc.boolean(),
    others: fc.boolean(),
    maxContexts: fc.integer({ min: 1, max: 128 }),
    roles: fc.constantFrom('scp' as const, 'both' as const),
  })

  test('never more contexts than the limit, with odd ids, each once, the service first', () => {
    fc.assert(
      fc.property(planned, (one) => {
        const proposal = getProposal(one)
        expectValidIds(proposal, one.maxContexts)
        expect(proposal.contexts[0]).toMatchObject({ abstractSyntax: STUDY_ROOT_GET, transferSyntaxes: NATIVE })
      }),
    )
  })

  test('one role selection for every storage class that is offered, and for no other', () => {
    fc.assert(
      fc.property(planned, (one) => {
        const proposal = getProposal(one)
        const classes = classesOf(proposal).filter((uid) => uid !== SopClass.studyRootGet)
        const scu = one.roles === 'both'
        expect(proposal.roles).toEqual(classes.map((sopClass) => ({ sopClass, scu, scp: true })))
      }),
    )
  })

  test('every known class that there is room for has a native context, before any compressed one', () => {
    fc.assert(
      fc.property(planned, (one) => {
        const { contexts } = getProposal(one)
        const native = contexts.filter(({ transferSyntaxes }) => transferSyntaxes.includes(IMPLICIT_LE)).slice(1)
        const room = Math.min(one.classes.length, one.maxContexts - 1)
        expect(native.slice(0, room).map(({ abstractSyntax }) => abstractSyntax)).toEqual(one.classes.slice(0, room))
        const known = contexts.slice(1, 1 + room)
        for (const { transferSyntaxes } of known) expect(transferSyntaxes).toEqual(NATIVE)
      }),
    )
  })

  test('each compressed syntax has a context of its own: the archive chooses by object, not once for a class', () => {
    const { contexts } = getProposal({ ...plan, others: false })
    const compressed = contexts.slice(2)
    // Deflated, too: some archives store so, and cannot inflate.
    expect(compressed.map(({ transferSyntaxes }) => transferSyntaxes)).toEqual(
      [...encapsulatedSyntaxes.map(({ uid }) => uid), '1.2.840.10008.1.2.1.99'].map((uid) => [uid]),
    )
    expect(new Set(compressed.map(({ abstractSyntax }) => abstractSyntax))).toEqual(new Set([CT]))
  })

  test('who does not take compressed objects offers none', () => {
    const { contexts } = getProposal({ ...plan, compressed: false })
    for (const { transferSyntaxes } of contexts) {
      expect(transferSyntaxes.every((uid) => isNative(transferSyntax(uid)))).toBe(true)
    }
  })

  test('5 classes leave room for the likeliest compressions of all of them', () => {
    const classes = rare(5)
    const { contexts } = getProposal({ ...plan, classes, others: false })
    expect(contexts).toHaveLength(128)
    // 1 service, 5 native, and 122 for 28 syntaxes of 5 classes: the first 24 for all.
    for (const { uid } of encapsulatedSyntaxes.slice(0, 24)) {
      const offered = contexts.filter(({ transferSyntaxes }) => transferSyntaxes[0] === uid)
      expect(offered.map(({ abstractSyntax }) => abstractSyntax)).toEqual(classes)
    }
  })

  test('40 classes are all offered natively, and the likeliest compressions as far as there is room', () => {
    const classes = rare(40)
    const { contexts, roles } = getProposal({ ...plan, classes, others: false })
    expect(contexts).toHaveLength(128)
    expect(roles).toHaveLength(40)
    expect(contexts.slice(1, 41).map(({ abstractSyntax }) => abstractSyntax)).toEqual(classes)
    expect(contexts.slice(41, 81).map(({ transferSyntaxes }) => transferSyntaxes[0])).toEqual(
      Array.from({ length: 40 }, () => encapsulatedSyntaxes[0]!.uid),
    )
  })

  test('what room is left goes to the frequent classes', () => {
    const { contexts } = getProposal({ ...plan, classes: rare(1), compressed: false })
    expect(contexts.slice(2).map(({ abstractSyntax }) => abstractSyntax)).toEqual(frequentStorageClasses)
    const few = getProposal({ ...plan, classes: [CT], compressed: false, maxContexts: 4 })
    expect(few.contexts.map(({ abstractSyntax }) => abstractSyntax)).toEqual([
      STUDY_ROOT_GET,
      CT,
      MR,
      `${STORAGE_ROOT}2.1`,
    ])
  })

  test('an archive that bears one context gets the service alone', () => {
    expect(getProposal({ ...plan, maxContexts: 1 })).toMatchObject({ contexts: [{ id: 1 }], roles: [] })
  })

  test('one syntax alone, for archives that use the first context of a class whatever its syntax', () => {
    const { contexts } = getProposal({ ...plan, others: false, only: JPEG_2000 })
    expect(contexts.slice(1)).toEqual([{ id: 3, abstractSyntax: CT, transferSyntaxes: [JPEG_2000] }])
  })
})

describe('for C-STORE', () => {
  test('each pair has its context, and each class a native one besides', () => {
    const pairs = [
      { sopClass: CT, syntax: JPEG_2000 },
      { sopClass: CT, syntax: EXPLICIT_LE },
      { sopClass: MR, syntax: EXPLICIT_LE },
    ]
    expect(storeProposal(pairs, 128)).toEqual({
      contexts: [
        { id: 1, abstractSyntax: CT, transferSyntaxes: [JPEG_2000] },
        { id: 3, abstractSyntax: CT, transferSyntaxes: [EXPLICIT_LE] },
        { id: 5, abstractSyntax: CT, transferSyntaxes: NATIVE },
        { id: 7, abstractSyntax: MR, transferSyntaxes: [EXPLICIT_LE] },
        { id: 9, abstractSyntax: MR, transferSyntaxes: NATIVE },
      ],
    })
  })

  test('never more contexts than the limit, with odd ids, each once', () => {
    const pair = fc.record({
      sopClass: fc.constantFrom(...frequentStorageClasses),
      syntax: fc.constantFrom(...encapsulatedSyntaxes.map(({ uid }) => uid), EXPLICIT_LE),
    })
    fc.assert(
      fc.property(
        fc.uniqueArray(pair, { selector: (one) => `${one.sopClass} ${one.syntax}`, minLength: 1, maxLength: 150 }),
        fc.integer({ min: 1, max: 128 }),
        (pairs, maxContexts) => expectValidIds(storeProposal(pairs, maxContexts), maxContexts),
      ),
    )
  })
})
