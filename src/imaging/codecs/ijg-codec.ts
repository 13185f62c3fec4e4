import { readFileSync } from 'node:fs'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from './codec-error.ts'
import type { ImageDescription } from '../image-description.ts'

/** As published in dcmjs-codecs (docs/decisions/0016). */
const MODULE = new URL('../../../vendor/dcmjs-codecs/dcmjs-native-codecs.wasm', import.meta.url)

/** Photometric interpretations by their numbers in the module. */
const PHOTOMETRIC = ['MONOCHROME1', 'MONOCHROME2', 'PALETTE COLOR', 'RGB', 'YBR_FULL', 'YBR_FULL_422']
/** Warnings of libjpeg after which the picture is not what was encoded. */
const DAMAGE = /corrupt|premature|extraneous/i

/** After a larger frame the instance is let go, with the memory it has taken; a new one takes 2 ms. */
const MAX_KEPT_FRAME_BYTES = 32 * 1024 * 1024

interface Exports {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  CreateCodecsContext(): number
  ReleaseCodecsContext(context: number): void
  SetColumns(context: number, value: number): void
  SetRows(context: number, value: number): void
  SetBitsAllocated(context: number, value: number): void
  SetBitsStored(context: number, value: number): void
  SetSamplesPerPixel(context: number, value: number): void
  SetPixelRepresentation(context: number, value: number): void
  SetPlanarConfiguration(context: number, value: number): void
  SetPhotometricInterpretation(context: number, value: number): void
  SetEncodedBufferSize(context: number, bytes: number): void
  GetEncodedBuffer(context: number): number
  CreateDecoderParameters(): number
  ReleaseDecoderParameters(parameters: number): void
  DecodeJpeg(context: number, parameters: number): void
  GetDecodedBuffer(context: number): number
  GetDecodedBufferSize(context: number): number
}

/**
 * libjpeg of the Independent JPEG Group with its patches for 12 bits and for lossless JPEG, from the WebAssembly module
 * of dcmjs-codecs. The JavaScript of that package is not used: it goes on with an instance that has failed.
 */
export class IjgCodec {
  #compiled: WebAssembly.Module | undefined
  #exports: Exports | undefined
  readonly #warnings: string[] = []

  /**
   * Samples as they are coded, interleaved, in as many bytes as are allocated.
   * @throws CodestreamError
   */
  decode(bytes: Bytes, image: ImageDescription): Bytes {
    this.#warnings.length = 0
    const exports = (this.#exports ??= this.#instantiate())
    let data: Bytes
    try {
      const context = exports.CreateCodecsContext()
      exports.SetColumns(context, image.columns)
      exports.SetRows(context, image.rows)
      exports.SetBitsAllocated(context, image.bitsAllocated)
      exports.SetBitsStored(context, image.bitsStored)
      exports.SetSamplesPerPixel(context, image.samplesPerPixel)
      exports.SetPixelRepresentation(context, image.signed ? 1 : 0)
      exports.SetPlanarConfiguration(context, 0)
      const interpretation = PHOTOMETRIC.indexOf(image.photometricInterpretation)
      exports.SetPhotometricInterpretation(context, Math.max(0, interpretation))
      exports.SetEncodedBufferSize(context, bytes.length)
      new Uint8Array(exports.memory.buffer).set(bytes, exports.GetEncodedBuffer(context))
      const parameters = exports.CreateDecoderParameters()
      exports.DecodeJpeg(context, parameters)
      exports.ReleaseDecoderParameters(parameters)
      const size = exports.GetDecodedBufferSize(context)
      data = new Uint8Array(exports.memory.buffer, exports.GetDecodedBuffer(context), size).slice()
      exports.ReleaseCodecsContext(context)
    } catch (error) {
      this.#exports = undefined
      throw new CodestreamError('its codec gave up', { cause: error })
    }
    if (data.length > MAX_KEPT_FRAME_BYTES) this.#exports = undefined
    if (this.#warnings.some((warning) => DAMAGE.test(warning))) throw new CodestreamError('it is damaged')
    const { rows, columns, samplesPerPixel, bitsAllocated } = image
    if (data.length !== (rows * columns * samplesPerPixel * bitsAllocated) / 8) {
      throw new CodestreamError('it does not hold the whole frame')
    }
    return data
  }

  #instantiate(): Exports {
    this.#compiled ??= new WebAssembly.Module(readFileSync(MODULE))
    const memory = (): ArrayBuffer => exports.memory.buffer
    const text = (at: number, length: number): string =>
      Buffer.from(new Uint8Array(memory(), at, length)).toString('latin1')
    const nothing = (): number => 0
    const instance = new WebAssembly.Instance(this.#compiled, {
      env: {
        onCodecsException: (at: number, length: number) => {
          throw new CodestreamError(text(at, length))
        },
        onCodecsInfo: (at: number, length: number) => void this.#warnings.push(text(at, length)),
        onCodecsTrace: () => undefined,
        emscripten_notify_memory_growth: () => undefined,
      },
      wasi_snapshot_preview1: {
        proc_exit: () => {
          throw new CodestreamError('its codec has ended')
        },
        environ_sizes_get: (count: number, size: number) => {
          const view = new DataView(memory())
          view.setUint32(count, 0, true)
          view.setUint32(size, 0, true)
          return 0
        },
        clock_time_get: nothing,
        fd_write: nothing,
        fd_close: nothing,
        fd_seek: nothing,
        environ_get: nothing,
      },
    })
    const exports = instance.exports as unknown as Exports
    exports._initialize()
    return exports
  }
}
