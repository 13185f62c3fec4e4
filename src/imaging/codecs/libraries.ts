import { IjgCodec } from './ijg-codec.ts'
import { WasmCodec } from './wasm-codec.ts'

// The C and C++ libraries that are compiled to WebAssembly, once in each thread (docs/decisions/0013, 0016).

export const turbo = new WasmCodec('libjpeg-turbo-8bit', { decoder: 'JPEGDecoder', encoder: 'JPEGEncoder' })
export const charls = new WasmCodec('charls', { decoder: 'JpegLSDecoder', encoder: 'JpegLSEncoder' })
export const openjpeg = new WasmCodec('openjpeg', { decoder: 'J2KDecoder', encoder: 'J2KEncoder' })
export const openjph = new WasmCodec('openjph', { decoder: 'HTJ2KDecoder', encoder: 'HTJ2KEncoder' })
export const ijg = new IjgCodec()
