import type { Region } from './region-words.ts'

/**
 * How much an image of one region tells of another, from 0 to 1, both ways; 1 for the same. Those that are not here tell nothing
 * of each other.
 */
export const regionAffinity: readonly (readonly [Region, Region, number])[] = [
  ['head', 'face', 0.4],
  ['head', 'neck', 0.3],
  ['head', 'carotid', 0.6],
  ['face', 'neck', 0.4],
  ['neck', 'carotid', 0.8],
  ['neck', 'cervical-spine', 0.3],
  ['neck', 'chest', 0.2],
  ['cervical-spine', 'thoracic-spine', 0.3],
  ['thoracic-spine', 'lumbar-spine', 0.4],
  ['cervical-spine', 'lumbar-spine', 0.2],
  ['thoracic-spine', 'chest', 0.3],
  ['lumbar-spine', 'pelvis', 0.3],
  ['lumbar-spine', 'abdomen', 0.2],
  ['spine', 'cervical-spine', 0.7],
  ['spine', 'thoracic-spine', 0.7],
  ['spine', 'lumbar-spine', 0.7],
  ['chest', 'heart', 0.5],
  ['chest', 'aorta', 0.5],
  ['chest', 'abdomen', 0.3],
  ['heart', 'aorta', 0.4],
  ['abdomen', 'aorta', 0.5],
  ['abdomen', 'liver', 0.8],
  ['abdomen', 'kidney', 0.7],
  ['abdomen', 'pelvis', 0.5],
  ['liver', 'kidney', 0.3],
  ['kidney', 'pelvis', 0.4],
  ['pelvis', 'hip', 0.6],
  ['hip', 'thigh', 0.5],
  ['thigh', 'knee', 0.3],
  ['knee', 'lower-leg', 0.3],
  ['lower-leg', 'ankle', 0.4],
  ['ankle', 'foot', 0.6],
  ['shoulder', 'upper-arm', 0.5],
  ['upper-arm', 'elbow', 0.4],
  ['elbow', 'forearm', 0.4],
  ['forearm', 'wrist', 0.5],
  ['wrist', 'hand', 0.7],
  ['aorta', 'leg-vessels', 0.5],
  ['leg-vessels', 'thigh', 0.3],
  ['leg-vessels', 'lower-leg', 0.3],
  ['whole-body', 'head', 0.4],
  ['whole-body', 'neck', 0.6],
  ['whole-body', 'chest', 0.7],
  ['whole-body', 'abdomen', 0.7],
  ['whole-body', 'pelvis', 0.7],
  ['whole-body', 'liver', 0.6],
  ['whole-body', 'kidney', 0.5],
  ['whole-body', 'spine', 0.6],
  ['whole-body', 'cervical-spine', 0.5],
  ['whole-body', 'thoracic-spine', 0.5],
  ['whole-body', 'lumbar-spine', 0.5],
  ['whole-body', 'aorta', 0.5],
  ['whole-body', 'hip', 0.4],
]

/** How much images of one modality tell beside those of another, from 0 to 1, both ways; 1 for the same. */
export const modalityAffinity: readonly (readonly [string, string, number])[] = [
  ['CR', 'DX', 1],
  ['CR', 'RF', 0.6],
  ['DX', 'RF', 0.6],
  ['CT', 'MR', 0.7],
  ['CT', 'PT', 0.7],
  ['CT', 'XA', 0.6],
  ['CT', 'CR', 0.5],
  ['CT', 'DX', 0.5],
  ['CT', 'US', 0.6],
  ['CT', 'NM', 0.4],
  ['MR', 'US', 0.5],
  ['MR', 'CR', 0.45],
  ['MR', 'DX', 0.45],
  ['MR', 'PT', 0.6],
  ['MR', 'MG', 0.6],
  ['MR', 'XA', 0.5],
  ['MR', 'NM', 0.4],
  ['US', 'MG', 0.7],
  ['US', 'XA', 0.4],
  ['US', 'CR', 0.3],
  ['US', 'DX', 0.3],
  ['PT', 'NM', 0.7],
  ['NM', 'CR', 0.4],
  ['NM', 'DX', 0.4],
]

/** Of modalities that say nothing of each other. */
export const OTHER_MODALITY = 0.2

/** Regions of which there are two: of the other side an image tells little. */
export const pairedRegions: readonly Region[] = [
  ...(['shoulder', 'upper-arm', 'elbow', 'forearm', 'wrist', 'hand'] as const),
  ...(['hip', 'thigh', 'knee', 'lower-leg', 'ankle', 'foot', 'leg-vessels'] as const),
]
