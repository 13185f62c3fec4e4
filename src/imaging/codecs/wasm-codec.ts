import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Bytes } from '../../dicom/bytes.ts'
import { CodestreamError } from './codec-error.ts'
import type { ImageDescription } from '../image-description.ts'

const require = createRequire(import.meta.url)

/** A module whose memory has grown beyond so many bytes is let go: memory of WebAssembly never shrinks. */
const MAX_KEPT_BYTES = 128 * 1024 * 1024

/** Samples of a frame as a codec gives or takes them. */
export interface Samples {
  readonly bits: number
  readonly signed: boolean
  /** The samples of one colour follow each other, then those of the next. */
  readonly planar: boolean
  /** One byte each up to 8 bits, else two in Little Endian. */
  readonly data: Bytes
}

interface FrameInfo {
  width: number
  height: number
  bitsPerSample: number
  componentCount: number
  isSigned: boolean
  isUsingColorTransform?: boolean
}

interface Decoder {
  getEncodedBuffer(length: number): Uint8Array
  decode(): void
  getFrameInfo(): FrameInfo
  getDecodedBuffer(): Uint8Array
  getInterleaveMode?(): number
  getIsHeaderValid?(): boolean
  getLastErrorMessage?(): string
  delete(): void
}

export interface Encoder {
  getDecodedBuffer(info: FrameInfo): Uint8Array
  encode(): void
  getEncodedBuffer(): Uint8Array
  delete(): void
  setQuality?(...values: readonly (number | boolean)[]): void
  setCompressionRatio?(layer: number, ratio: number): void
  setProgressionOrder?(order: number): void
  setNearLossless?(bound: number): void
  setInterleaveMode?(mode: number): void
  setDecompositions?(levels: number): void
}

interface Module {
  readonly HEAPU8: Uint8Array
  readonly [name: string]: unknown
}

type Factory = (options: object) => Promise<Module>

/**
 * A codec of the packages @cornerstonejs/codec-*, which Emscripten has built. It is compiled once, and instantiated
 * anew after any failure: memory of a C++ exception is never freed.
 */
export class WasmCodec {
  readonly #package: string
  readonly #decoder: string
  readonly #encoder: string
  #compiled: WebAssembly.Module | undefined
  #module: Module | undefined

  constructor(name: string, classes: { readonly decoder: string; readonly encoder: string }) {
    this.#package = `@cornerstonejs/codec-${name}`
    this.#decoder = classes.decoder
    this.#encoder = classes.encoder
  }

  /** @throws CodestreamError */
  async decode(bytes: Bytes, image: ImageDescription): Promise<Samples> {
    return this.#using<Samples>(this.#decoder, (decoder: Decoder) => {
      decoder.getEncodedBuffer(bytes.length).set(bytes)
      decoder.decode()
      const fault = decoder.getLastErrorMessage?.() ?? ''
      if (decoder.getIsHeaderValid?.() === false || fault !== '') throw new CodestreamError('its header is not valid')
      const { width, height, componentCount, bitsPerSample, isSigned } = decoder.getFrameInfo()
      const data = decoder.getDecodedBuffer()
      const { columns, rows, samplesPerPixel } = image
      const count = columns * rows * samplesPerPixel
      const isOfImage = width === columns && height === rows && componentCount === samplesPerPixel
      if (!isOfImage || data.length !== count * (bitsPerSample > 8 ? 2 : 1)) {
        throw new CodestreamError('it does not hold the whole frame')
      }
      const planar = componentCount > 1 && decoder.getInterleaveMode?.() === 0
      return { bits: bitsPerSample, signed: isSigned, planar, data: copyOf(data) }
    })
  }

  /** Samples are interleaved. @throws CodestreamError */
  async encode(samples: Samples, image: ImageDescription, setUp: (encoder: Encoder) => void): Promise<Bytes> {
    return this.#using<Bytes>(this.#encoder, (encoder: Encoder) => {
      setUp(encoder)
      const info = {
        width: image.columns,
        height: image.rows,
        bitsPerSample: samples.bits,
        componentCount: image.samplesPerPixel,
        isSigned: samples.signed,
        isUsingColorTransform: image.samplesPerPixel === 3,
      }
      encoder.getDecodedBuffer(info).set(samples.data)
      encoder.encode()
      return copyOf(encoder.getEncodedBuffer())
    })
  }

  async #using<T>(name: string, work: (codec: Decoder & Encoder) => T): Promise<T> {
    this.#module ??= await this.#instantiate()
    const module = this.#module
    let isWell = false
    try {
      const codec = new (module[name] as new () => Decoder & Encoder)()
      const result = work(codec)
      codec.delete()
      isWell = true
      return result
    } catch (error) {
      // C++ exceptions arrive as numbers, traps as RuntimeError.
      throw error instanceof CodestreamError ? error : new CodestreamError('its codec gave up', { cause: error })
    } finally {
      if (!isWell || module.HEAPU8.length > MAX_KEPT_BYTES) this.#module = undefined
    }
  }

  async #instantiate(): Promise<Module> {
    this.#compiled ??= new WebAssembly.Module(readFileSync(require.resolve(`${this.#package}/wasm`)))
    const compiled = this.#compiled
    const factory = require(`${this.#package}/wasmjs`) as Factory
    // A new object each time: the factory changes it.
    return factory({
      print: () => undefined,
      printErr: () => undefined,
      instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance, module: object) => void) {
        const instance = new WebAssembly.Instance(compiled, imports)
        done(instance, compiled)
        return instance.exports
      },
    })
  }
}

/** A copy of bytes in a codec's memory, where the codec may show them as an array of another type. */
function copyOf({ buffer, byteOffset, byteLength }: Uint8Array): Bytes {
  return new Uint8Array(buffer, byteOffset, byteLength).slice()
}
