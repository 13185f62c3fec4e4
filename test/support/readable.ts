import type { Bytes, ByteStream } from '../../src/dicom/bytes.ts'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import { Arrival, FROM_CLIENT } from '../../src/instance/arrival.ts'
import { GrowingIndex } from '../../src/instance/instance-index.ts'
import { InstanceReader } from '../../src/instance/instance-reader.ts'
import type { ReadableDataSet } from '../../src/instance/readable-instance.ts'
import type { Instance } from '../../src/pacs/instance.ts'
import { inflate } from '../../src/dicom/recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../../src/dicom/transfer-syntax.ts'

/** A data set that is read once, as far as somebody waits for it; what was read can be had from any byte. */
export function readable(source: DataSetSource): ReadableDataSet {
  const { deflated } = source.syntax
  const syntax = deflated ? EXPLICIT_VR_LITTLE_ENDIAN : source.syntax
  const reader = new InstanceReader(syntax, { rewrites: true, strict: false })
  const isRewritten = deflated || reader.syntax.uid !== syntax.uid
  const chunks = (deflated ? inflate(source.bytes()) : source.bytes())[Symbol.asyncIterator]()
  const rewritten: Bytes[] = []
  let isOver = false
  const more = async (): Promise<void> => {
    const step = (await chunks.next()) as IteratorResult<Bytes, undefined>
    try {
      if (step.done === true) {
        isOver = true
        reader.end()
      } else reader.push(step.value)
    } catch {
      // The fault is in the index.
    }
    rewritten.push(...(isRewritten ? reader.take() : []))
    if (!isRewritten) reader.take()
  }
  return {
    syntax: reader.syntax,
    index: reader.index,
    async until(ready) {
      while (!ready(reader.index) && !isOver && !reader.index.fault) await more()
    },
    bytes(from = 0, to = Infinity) {
      return isRewritten ? all() : source.bytes(from, to)
      async function* all(): AsyncGenerator<Bytes> {
        while (!isOver) await more()
        yield Buffer.concat(rewritten).subarray(from, to)
      }
    },
  }
}

/** An instance whose body is read strictly when it is asked for, as one of a web client is. */
export function instanceOf(
  uids: Pick<Instance, 'sopClass' | 'sopInstance' | 'study' | 'series'>,
  syntax: TransferSyntax,
  body: ByteStream,
): Instance {
  return {
    ...uids,
    syntax,
    received: syntax,
    index: new GrowingIndex(),
    body: {
      async *[Symbol.asyncIterator]() {
        yield* await Arrival.begin(body, syntax, FROM_CLIENT)
      },
    },
  }
}
