import { IjgCodec } from './ijg-codec.ts'
import { WasmCodec } from './wasm-codec.ts'

// One of each in a thread: what they are compiled to is kept (docs/decisions/0013).

export const turbo = new WasmCodec('libjpeg-turbo-8bit', { decoder: 'JPEGDecoder', encoder: 'JPEGEncoder' })
export const charls = new WasmCodec('charls', { decoder: 'JpegLSDecoder', encoder: 'JpegLSEncoder' })
export const openjpeg = new WasmCodec('openjpeg', { decoder: 'J2KDecoder', encoder: 'J2KEncoder' })
export const openjph = new WasmCodec('openjph', { decoder: 'HTJ2KDecoder', encoder: 'HTJ2KEncoder' })
export const ijg = new IjgCodec()
